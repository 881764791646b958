// Package link is a TCP proxy whose faults are switched at run time: latency, a slow line, connections that are reset, refused
// or cut at a byte, black holes, and peers that are gone without a word. Tests put one between a client and the gateway, or
// between the gateway and an upstream; [Link.Set] concerns the connections that are open and those to come.
//
// A [Fault] with Hold is what a proxy in user space can do: nothing passes, but the system still acknowledges what comes. One
// with Silent drops the packets themselves before they are acknowledged, as when a cable was cut or a machine lost its
// power, so that only keep-alive, time-outs and pings of the other side can notice it. That needs Linux, and no privileges.
package link
