// Package seal makes handles: state that the client carries for us. A handle holds
// what the gateway would otherwise have to remember (a legacy session, a cursor),
// encrypted and authenticated, so that it works on any replica and after a restart,
// tells its bearer nothing, and cannot be changed.
//
// A handle is bound to a purpose and to whatever the caller names, usually the
// principal; in any other place it does not open. Opening one proves that the
// gateway made it and nothing else: handles never authenticate anybody, and the
// package knows nothing of expiry or revocation, which belong to what is sealed.
package seal
