// What the fake of NCCL needs from the fake of CUDA's streams: to run on one.
#pragma once

#include <cuda_runtime_api.h>

// Runs work(data) once all that was queued on `stream` before has run.
extern "C" void emulate_submit(cudaStream_t stream, void (*work)(void*), void* data);
