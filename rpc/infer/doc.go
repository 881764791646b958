// Package infer knows the inference dialect: its methods and their params, the parts a
// streamed answer comes in, and its table of errors. It reads and writes what stands in messages,
// and neither transports them nor decides about them. The edge, the router of models, the
// adapters of backends and the policies use it.
//
// In a [rpc.Reply] a chunk of a streamed answer is a notification of the method [Chunk], and an
// entry of a log one of the method [Entry]; the response has what is left to say. On the wire all
// of them are objects with the id of the request, see [AppendPart].
package infer
