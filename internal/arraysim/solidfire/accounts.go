// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"crypto/rand"
	"slices"
)

// Statuses of accounts and volumes.
const (
	statusActive   = "active"
	statusRemoved  = "removed"
	statusCreating = "creating"
	statusDeleted  = "deleted"
)

func addAccount(c *call) (any, *Error) {
	limits := &c.options.Limits
	c.need("username")
	name, _ := c.bounded("username", 1, limits.AccountName)
	initiator, hasInitiator := c.bounded("initiatorSecret", limits.SecretMin, limits.SecretMax)
	target, hasTarget := c.bounded("targetSecret", limits.SecretMin, limits.SecretMax)
	attributes, given := c.attributes(limits.Attributes)
	if c.err != nil {
		return nil, c.err
	}
	if c.state.accountNamed(name) != nil {
		return nil, refuse("xDuplicateUsername", "Duplicate username")
	}
	if c.state.activeAccounts() >= limits.Accounts {
		return nil, refuse(exceededLimit, "Exceeded maximum number of accounts: %d", limits.Accounts)
	}
	if !hasInitiator {
		initiator = newSecret(limits.SecretMin)
	}
	if !hasTarget {
		target = newSecret(limits.SecretMin)
	}
	if !given {
		attributes = emptyObject
	}
	a := &account{
		AccountID: next(&c.state.Last.Account), Username: name, Status: statusActive,
		InitiatorSecret: initiator, TargetSecret: target, Attributes: attributes,
	}
	c.state.Accounts[a.AccountID] = a
	result := map[string]any{"accountID": a.AccountID}
	if !c.options.BareAnswers {
		result["account"] = c.state.showAccount(*a)
	}
	return result, nil
}

// newSecret is what the cluster makes up.
func newSecret(length int) string {
	var text string
	for len(text) < length {
		text += rand.Text()
	}
	return text[:length]
}

func (s *state) accountNamed(name string) *account {
	for _, a := range s.Accounts {
		if a.Username == name && a.Status == statusActive {
			return a
		}
	}
	return nil
}

func (s *state) activeAccounts() int {
	n := 0
	for _, a := range s.Accounts {
		if a.Status == statusActive {
			n++
		}
	}
	return n
}

// showAccount gives an account with its volumes, deleted ones that are not purged
// included.
func (s *state) showAccount(a account) account {
	a.Volumes = []int64{}
	for id, v := range s.Volumes {
		if v.AccountID == a.AccountID {
			a.Volumes = append(a.Volumes, id)
		}
	}
	slices.Sort(a.Volumes)
	return a
}

func getAccountByName(c *call) (any, *Error) {
	name := c.needText("username")
	if c.err != nil {
		return nil, c.err
	}
	a := c.state.accountNamed(name)
	if a == nil {
		return nil, refuse("xUnknownAccount", "Unknown account")
	}
	return map[string]any{"account": c.state.showAccount(*a)}, nil
}

func getAccountByID(c *call) (any, *Error) {
	id := c.needInteger("accountID")
	if c.err != nil {
		return nil, c.err
	}
	a, refused := c.state.account(id)
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"account": c.state.showAccount(a)}, nil
}

// listAccounts leaves out those that were removed.
func listAccounts(c *call) (any, *Error) {
	from, _ := c.integer("startAccountID")
	limit := c.limit()
	if c.err != nil {
		return nil, c.err
	}
	accounts := []account{}
	for _, a := range ordered(c.state.Accounts) {
		if a.AccountID >= from && a.Status == statusActive && (limit == 0 || int64(len(accounts)) < limit) {
			accounts = append(accounts, c.state.showAccount(*a))
		}
	}
	return map[string]any{"accounts": accounts}, nil
}

// limit is the parameter of all lists; 0: none. That 0 is no limit is the
// simulator's choice.
func (c *call) limit() int64 {
	n, _ := c.integer("limit")
	if n < 0 {
		c.fail(refuse(invalidParameter, "limit: must not be negative"))
	}
	return n
}

// modifyAccount changes name, secrets and attributes.
func modifyAccount(c *call) (any, *Error) {
	limits := &c.options.Limits
	id := c.needInteger("accountID")
	name, renamed := c.bounded("username", 1, limits.AccountName)
	initiator, hasInitiator := c.bounded("initiatorSecret", limits.SecretMin, limits.SecretMax)
	target, hasTarget := c.bounded("targetSecret", limits.SecretMin, limits.SecretMax)
	attributes, given := c.attributes(limits.Attributes)
	if c.err != nil {
		return nil, c.err
	}
	a, refused := c.state.account(id)
	if refused != nil {
		return nil, refused
	}
	if renamed {
		if other := c.state.accountNamed(name); other != nil && other.AccountID != id {
			return nil, refuse("xDuplicateUsername", "Duplicate username")
		}
		a.Username = name
	}
	if hasInitiator {
		a.InitiatorSecret = initiator
	}
	if hasTarget {
		a.TargetSecret = target
	}
	if given {
		a.Attributes = attributes
	}
	c.state.Accounts[id] = &a
	shown := c.state.showAccount(a)
	for _, volume := range shown.Volumes {
		c.touched[volume] = true
	}
	if c.options.BareAnswers {
		return emptyObject, nil
	}
	return map[string]any{"account": shown}, nil
}

// removeAccount refuses accounts with volumes, deleted ones too; the name of that
// error is the simulator's choice.
func removeAccount(c *call) (any, *Error) {
	id := c.needInteger("accountID")
	if c.err != nil {
		return nil, c.err
	}
	a, refused := c.state.account(id)
	if refused != nil {
		return nil, refused
	}
	if n := len(c.state.showAccount(a).Volumes); n > 0 {
		return nil, refuse(invalidParameter, "AccountID %d has %d volumes", id, n)
	}
	a.Status = statusRemoved
	c.state.Accounts[id] = &a
	return emptyObject, nil
}
