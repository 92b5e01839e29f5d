/* The part of TensorFlow's C interface that is used, looked up in the library at run time, so that nothing of
** TensorFlow is needed to build this one. Names and types: tensorflow/c/c_api.h. */
#ifndef USPI_TENSORFLOW_API_H
#define USPI_TENSORFLOW_API_H

#include <stddef.h>
#include <stdint.h>

typedef struct TF_Status TF_Status;
typedef struct TF_Graph TF_Graph;
typedef struct TF_Session TF_Session;
typedef struct TF_SessionOptions TF_SessionOptions;
typedef struct TF_Operation TF_Operation;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_Buffer TF_Buffer;
typedef struct TF_Output {
  TF_Operation *oper;
  int index;
} TF_Output;
enum { TF_FLOAT = 1, TF_DOUBLE = 2 }; /* of TF_DataType */

/* X(result, name, parameters) */
#define USPI_TENSORFLOW_FUNCTIONS(X)                                                                             \
  X(TF_Status *, TF_NewStatus, (void))                                                                           \
  X(void, TF_DeleteStatus, (TF_Status *))                                                                        \
  X(int, TF_GetCode, (const TF_Status *))                                                                        \
  X(const char *, TF_Message, (const TF_Status *))                                                               \
  X(TF_Graph *, TF_NewGraph, (void))                                                                             \
  X(void, TF_DeleteGraph, (TF_Graph *))                                                                          \
  X(TF_Operation *, TF_GraphOperationByName, (TF_Graph *, const char *))                                         \
  X(int, TF_OperationNumOutputs, (TF_Operation *))                                                               \
  X(int, TF_OperationOutputType, (TF_Output))                                                                    \
  X(TF_SessionOptions *, TF_NewSessionOptions, (void))                                                           \
  X(void, TF_SetConfig, (TF_SessionOptions *, const void *, size_t, TF_Status *))                                \
  X(void, TF_DeleteSessionOptions, (TF_SessionOptions *))                                                        \
  X(TF_Session *, TF_LoadSessionFromSavedModel,                                                                  \
    (const TF_SessionOptions *, const TF_Buffer *, const char *, const char *const *, int, TF_Graph *, TF_Buffer *, \
     TF_Status *))                                                                                               \
  X(void, TF_CloseSession, (TF_Session *, TF_Status *))                                                          \
  X(void, TF_DeleteSession, (TF_Session *, TF_Status *))                                                         \
  X(void, TF_SessionRun,                                                                                         \
    (TF_Session *, const TF_Buffer *, const TF_Output *, TF_Tensor *const *, int, const TF_Output *, TF_Tensor **, \
     int, const TF_Operation *const *, int, TF_Buffer *, TF_Status *))                                           \
  X(TF_Tensor *, TF_AllocateTensor, (int, const int64_t *, int, size_t))                                         \
  X(TF_Tensor *, TF_NewTensor,                                                                                   \
    (int, const int64_t *, int, void *, size_t, void (*)(void *, size_t, void *), void *))                       \
  X(void, TF_DeleteTensor, (TF_Tensor *))                                                                        \
  X(int, TF_TensorType, (const TF_Tensor *))                                                                     \
  X(void *, TF_TensorData, (const TF_Tensor *))                                                                  \
  X(size_t, TF_TensorByteSize, (const TF_Tensor *))

#define USPI_TENSORFLOW_MEMBER(result, name, parameters) result(*name) parameters;
typedef struct uspi_tensorflow_api {
  USPI_TENSORFLOW_FUNCTIONS(USPI_TENSORFLOW_MEMBER)
} uspi_tensorflow_api;

#endif
