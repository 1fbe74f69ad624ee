// Plans that run on NVIDIA's libraries, and the handles that all plans of a device share.
#pragma once

#include "kernels/cuda/ops.hpp"

#include <memory>

namespace mlp::kernels::cuda {

class Streams;
class MatmulLibrary; // cuBLASLt and a handle of it
class ConvLibrary;   // cuDNN and a handle of it

// One a device: loads the library. Throws ErrorKind::unavailable with what to install.
std::shared_ptr<MatmulLibrary> load_matmul_library();
std::shared_ptr<ConvLibrary> load_conv_library();

// What a plan needs of its device.
struct Context {
  int ordinal = 0;
  const Streams* streams = nullptr;
  Precision precision = Precision::f32;
};

// The type of the operands that convolutions of this type give the library.
inline DType library_type(const Context& context, DType dtype) noexcept {
  return context.precision == Precision::bf16 ? DType::bf16 : dtype;
}

std::unique_ptr<MatmulPlan>
plan_matmul(const Context& context, std::shared_ptr<MatmulLibrary> library, const MatmulSpec& spec);
std::unique_ptr<ConvPlan> plan_conv(const Context& context, std::shared_ptr<ConvLibrary> library,
                                    const ConvSpec& spec);
std::unique_ptr<ConvTrainingPlan> plan_conv_training(const Context& context,
                                                     const std::shared_ptr<ConvLibrary>& library,
                                                     const ConvSpec& spec);

} // namespace mlp::kernels::cuda
