//go:build !usp_embedded

// The generic library. With the tag usp_embedded, CGO_LDFLAGS names the library of one model instead.

package usp

// #cgo LDFLAGS: -lusp
import "C"
