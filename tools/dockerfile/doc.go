// Package dockerfile tests the repository's Dockerfile where there is no container engine: it is read and
// linted by BuildKit's own code, and held to what the image promises. Nothing imports it.
package dockerfile
