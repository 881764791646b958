// Package statetest is the suite that every engine of package state must pass. It
// knows engines by their interfaces only.
package statetest
