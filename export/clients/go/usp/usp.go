// Package usp is usp.h for Go: run an exported model, and let it go on learning.
//
// Model and Stream are given back by Close, or by the garbage collector if that was forgotten. A Model may be used by
// many goroutines at once, a Stream by one at a time.
package usp

/*
#cgo CFLAGS: -I${SRCDIR}/../../../include
#include <stdlib.h>
#include <string.h>
#include "usp.h"
*/
import "C"

import (
	"errors"
	"runtime"
	"unsafe"
)

// Error is a call that failed.
type Error struct {
	Status  int // one of the USP_ constants of usp.h
	Message string
}

func (e *Error) Error() string { return e.Message }

// ErrClosed is the error of every method after Close.
var ErrClosed = errors.New("usp: closed")

// check runs a call and reads its message on the same thread, which is where the library keeps it.
func check(call func() C.usp_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if status := call(); status != C.USP_OK {
		return &Error{int(status), C.GoString(C.usp_last_error())}
	}
	return nil
}

// Description says what a model is.
type Description struct {
	Name, Format, Dtype                   string
	HasStep                               bool
	Levels, Horizons, Features, Exogenous int
	Telemetry, Weights, State             int
}

// Model is an exported model. It never changes.
type Model struct{ handle *C.usp_model }

// Load loads the model in a folder; "" is the model that is built into the library.
func Load(folder string) (*Model, error) {
	if C.usp_abi_version() < C.USP_ABI_VERSION {
		return nil, errors.New("usp: the library is older than usp.h")
	}
	var path *C.char
	if folder != "" {
		path = C.CString(folder)
		defer C.free(unsafe.Pointer(path))
	}
	model := &Model{}
	if err := check(func() C.usp_status { return C.usp_model_load(path, nil, &model.handle) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(model, (*Model).Close)
	return model, nil
}

// Close gives the model up. Its streams go on working.
func (m *Model) Close() error {
	C.usp_model_free(m.handle)
	m.handle = nil
	runtime.SetFinalizer(m, nil)
	return nil
}

// Info says what the model is.
func (m *Model) Info() (Description, error) {
	if m.handle == nil {
		return Description{}, ErrClosed
	}
	info := C.usp_model_description{struct_size: C.sizeof_usp_model_description}
	err := check(func() C.usp_status { return C.usp_model_info(m.handle, &info) })
	if err != nil {
		return Description{}, err
	}
	out := Description{
		Name: C.GoString(info.name), Format: C.GoString(info.format), Dtype: C.GoString(info.dtype),
		HasStep: info.has_step == 1, Levels: int(info.n_levels), Horizons: int(info.n_horizons),
		Features: int(info.n_features), Exogenous: int(info.n_exogenous), Telemetry: int(info.n_telemetry),
		Weights: int(info.n_weights), State: int(info.n_state),
	}
	runtime.KeepAlive(m)
	return out, nil
}

// Levels of the quantiles, in (0, 1).
func (m *Model) Levels() ([]float64, error) {
	info, err := m.Info()
	if err != nil {
		return nil, err
	}
	out := make([]float64, info.Levels)
	err = check(func() C.usp_status {
		return C.usp_model_levels(m.handle, (*C.double)(&out[0]), C.size_t(len(out)), nil)
	})
	runtime.KeepAlive(m)
	return out, err
}

// Stream is a series that the model follows and goes on learning from.
type Stream struct {
	handle *C.usp_stream
	width  int
}

// NewStream makes a stream that stands where the model stood when it was exported.
func (m *Model) NewStream() (*Stream, error) {
	return m.stream(func(out **C.usp_stream) C.usp_status { return C.usp_stream_new(m.handle, out) })
}

// LoadStream makes a stream that goes on where the one that was saved to path stood.
func (m *Model) LoadStream(path string) (*Stream, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	return m.stream(func(out **C.usp_stream) C.usp_status { return C.usp_stream_load(m.handle, name, out) })
}

func (m *Model) stream(open func(**C.usp_stream) C.usp_status) (*Stream, error) {
	info, err := m.Info()
	if err != nil {
		return nil, err
	}
	stream := &Stream{width: info.Horizons * info.Levels}
	if err := check(func() C.usp_status { return open(&stream.handle) }); err != nil {
		return nil, err
	}
	runtime.KeepAlive(m)
	runtime.SetFinalizer(stream, (*Stream).Close)
	return stream, nil
}

// Close gives the stream up.
func (s *Stream) Close() error {
	C.usp_stream_free(s.handle)
	s.handle = nil
	runtime.SetFinalizer(s, nil)
	return nil
}

// Push learns the newest value y[0] with its exogenous values y[1:], and returns the quantiles of the values to come,
// horizon by horizon.
func (s *Stream) Push(y ...float64) ([]float64, error) {
	out := make([]float64, s.width)
	return out, s.PushTo(out, y...)
}

// PushTo is Push into a slice of the caller's.
func (s *Stream) PushTo(quantiles []float64, y ...float64) error {
	if s.handle == nil {
		return ErrClosed
	}
	err := check(func() C.usp_status {
		return C.usp_stream_push(s.handle, pointer(y), C.size_t(len(y)), pointer(quantiles), C.size_t(len(quantiles)), nil)
	})
	runtime.KeepAlive(s)
	return err
}

// Save writes the stream to a file, whole or not at all.
func (s *Stream) Save(path string) error {
	if s.handle == nil {
		return ErrClosed
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	err := check(func() C.usp_status { return C.usp_stream_save(s.handle, name) })
	runtime.KeepAlive(s)
	return err
}

func pointer(x []float64) *C.double {
	if len(x) == 0 {
		return nil
	}
	return (*C.double)(&x[0])
}
