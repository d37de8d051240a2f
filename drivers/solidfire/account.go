// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/internal/san"
	"github.com/gocinder/cinderlib/internal/rest"
)

// fullAccount is how many volumes an account may have before another is used: the
// cluster's limit is 2000, and others create at the same time.
const fullAccount = 1990

// account gives the account for a new volume of a project. An account that is full
// has a second one of its name and _.
func (d *Driver) account(ctx context.Context, v *drivers.Volume) (*account, error) {
	name, err := d.o.account(v.ProjectID)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{name, name + "_"} {
		a, err := d.accountNamed(ctx, name)
		if a == nil && err == nil {
			a, err = d.addAccount(ctx, name)
		}
		if err != nil || len(a.Volumes) < fullAccount {
			return a, err
		}
	}
	return nil, drivers.Errorf(drivers.ErrExhausted, "the accounts %s and %s_ have %d volumes each", name, name, fullAccount)
}

// accountNamed is nil if there is none.
func (d *Driver) accountNamed(ctx context.Context, name string) (*account, error) {
	var found struct {
		Account account `json:"account"`
	}
	err := d.call(ctx, getAccountByName, params{"username": name}, &found)
	if is(err, "xUnknownAccount") {
		return nil, nil //nolint:nilnil // both are told
	}
	if err != nil {
		return nil, err
	}
	return &found.Account, nil
}

func (d *Driver) accountByID(ctx context.Context, id int64) (*account, error) {
	var found struct {
		Account account `json:"account"`
	}
	err := d.call(ctx, getAccountByID, params{"accountID": id}, &found)
	return &found.Account, err
}

// addAccount makes one. Another process may do the same at the same time.
func (d *Driver) addAccount(ctx context.Context, name string) (*account, error) {
	a := &account{Username: name, InitiatorSecret: san.CHAPSecret()}
	var added struct {
		ID int64 `json:"accountID"`
	}
	err := d.call(ctx, addAccount, params{
		"username": name, "initiatorSecret": a.InitiatorSecret.Reveal(), "targetSecret": a.InitiatorSecret.Reveal(), "attributes": params{},
	}, &added)
	if is(err, "xDuplicateUsername") || rest.Lost(err) && ctx.Err() == nil {
		there, again := d.accountNamed(ctx, name)
		if there != nil || again != nil {
			return there, again
		}
	}
	if err != nil {
		return nil, err
	}
	a.ID = added.ID
	return a, nil
}

// auth is what a host logs in with, in Cinder's form. The cluster asks hosts for the
// initiator's secret; Cinder's accounts have the same in both places.
func (a *account) auth() drivers.Secret {
	return drivers.Secret("CHAP " + a.Username + " " + a.InitiatorSecret.Reveal())
}
