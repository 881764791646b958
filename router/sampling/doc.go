// Package sampling answers servers that ask for a language model in the middle of a call, where the client cannot (MCP
// 2025-11-25, Client Features, Sampling): a pool of the gateway's own models answers instead, on the account of whoever makes the
// call. It stands between the bridge and an upstream of the legacy era, and sees questions before the bridge does.
//
// What it is not: a client that can be asked is asked, and never overheard. It knows nothing of models but a function that
// calls one, which package gateway gives it, and by which the call is judged and paid for as any other of its principal.
package sampling
