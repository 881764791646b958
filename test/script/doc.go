// Package script tests the commands the way a user meets them: the real static binary, started by scripts that say what is typed and
// what must be printed. The scripts are in testdata, one for each subject; what they can do beside the usual is in script_test.go.
package script
