// Package e2e holds the end-to-end tests: a whole gateway, in front of servers and
// used by clients that others wrote, or in front of fakes where the test must see
// exact bytes or cause a fault. It has no code of its own beside tests.
package e2e
