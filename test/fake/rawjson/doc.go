// Package rawjson finds members of JSON objects and elements of arrays as ranges of the bytes that were given, without
// decoding them. The fake servers and the load generator use it to compare what arrived with what was sent byte for byte.
//
// It is no validator: it checks the syntax of the level it walks and only balances brackets below. Who doubts a text
// passes it through encoding/json.Valid first. It is on purpose not the gateway's own codec, whose judge it is.
package rawjson
