// SPDX-License-Identifier: Apache-2.0

package fault

import "strings"

// joined is errors.Join on one line.
type joined struct{ errs []error }

func (j *joined) Error() string {
	texts := make([]string, len(j.errs))
	for i, err := range j.errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (j *joined) Unwrap() []error { return j.errs }

// Join makes one error of those that are not nil, in order: the first decides
// the code. It is nil if all are, and the error itself if there is one.
func Join(errs ...error) error {
	var some []error
	for _, err := range errs {
		if err != nil {
			some = append(some, err)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return &joined{some}
}
