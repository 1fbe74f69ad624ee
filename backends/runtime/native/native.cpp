// The Runtime interface over Program: finds the file, checks requests, keeps contexts for reuse.
#include "backends/runtime/native/native.hpp"

#include "backends/runtime/native/program.hpp"
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace mlp::native {

namespace {

using model::NamedTensor;

class NativeRuntime final : public serve::Runtime {
 public:
  // accelerator: null, or what the model is to run on as far as it can.
  NativeRuntime(std::string_view bytes, int threads, std::unique_ptr<kernels::Device> accelerator)
      : device_(kernels::make_cpu_device(threads)), accelerator_(std::move(accelerator)),
        program_(bytes, *device_, {}, true, accelerator_.get()) {
    check_types();
    if (accelerator_ != nullptr && !program_.offloads()) { // strings and trees, say
      accelerator_.reset();
      cpu_reason_ = "a GPU does none of the model's operators";
    }
    if (accelerator_ != nullptr) check_libraries();
  }

  std::string_view device() const noexcept override {
    return accelerator_ != nullptr ? accelerator_->name() : device_->name();
  }

  std::string_view cpu_reason() const noexcept override { return cpu_reason_; }
  void set_cpu_reason(std::string reason) { cpu_reason_ = std::move(reason); }

  const model::Signature& signature() const noexcept override { return program_.signature(); }

  std::vector<NamedTensor> infer(std::span<const NamedTensor> inputs,
                                 std::span<const std::string> outputs) const override {
    serve::check_inputs(signature(), inputs);
    const std::vector<std::size_t> wanted = places_of(outputs);
    const Lease lease(*this);
    std::vector<Value> values;
    for (const model::TensorSpec& spec : signature().inputs) {
      const auto input = std::find_if(inputs.begin(), inputs.end(),
                                      [&](const auto& i) { return i.name == spec.name; });
      check_data(*input);
      values.push_back(lease->memory().import(input->tensor));
    }
    const std::span<const Value> results = lease->run(values);
    std::vector<NamedTensor> answer;
    for (const std::size_t place : wanted)
      answer.push_back({signature().outputs[place].name, export_tensor(results[place])});
    return answer;
  }

 private:
  // A context of the pool, for one call. An accelerator does one thing after the other, so that
  // there are two contexts, one to copy while the other computes; a call waits for one.
  class Lease {
   public:
    explicit Lease(const NativeRuntime& owner) : owner_(owner) {
      {
        std::unique_lock lock(owner_.mutex_);
        if (owner_.accelerator_ != nullptr)
          owner_.given_back_.wait(lock, [&] { return owner_.lent_ < kAccelerated; });
        ++owner_.lent_;
        if (!owner_.contexts_.empty()) {
          context_ = std::move(owner_.contexts_.back());
          owner_.contexts_.pop_back();
        }
      }
      if (context_ != nullptr) return;
      try {
        context_ = std::make_unique<Program::Context>(owner_.program_);
      } catch (const kernels::Error& error) {
        give_back();
        throw Error(ErrorKind::failed, error.what()).with_hint(error.hint());
      } catch (...) {
        give_back();
        throw;
      }
    }
    ~Lease() {
      context_->clear();
      give_back();
    }
    Lease(const Lease&) = delete;
    Program::Context* operator->() const noexcept { return context_.get(); }

   private:
    static constexpr int kAccelerated = 2;

    void give_back() {
      {
        const std::lock_guard lock(owner_.mutex_);
        --owner_.lent_;
        if (context_ != nullptr && owner_.contexts_.size() < owner_.most_contexts_)
          owner_.contexts_.push_back(std::move(context_));
      }
      if (owner_.accelerator_ != nullptr) owner_.given_back_.notify_one();
    }

    const NativeRuntime& owner_;
    std::unique_ptr<Program::Context> context_;
  };

  // What the accelerator loads at its first product or convolution is missed now, not by a request.
  void check_libraries() const {
    bool multiplies = false;
    bool convolves = false;
    const std::vector<Place> places = program_.step_places();
    const std::vector<std::string> names = program_.step_names();
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (places[i] != Place::device) continue;
      multiplies = multiplies || names[i].starts_with("MatMul") || names[i].starts_with("Gemm");
      convolves = convolves || names[i].starts_with("Conv");
    }
    if (multiplies)
      static_cast<void>(accelerator_->plan(kernels::MatmulSpec{.m = 8, .n = 8, .k = 8}));
    kernels::ConvSpec conv;
    conv.in[0] = conv.in[1] = 8;
    if (convolves) static_cast<void>(accelerator_->plan(conv));
  }

  void check_types() const {
    const auto check = [](const char* what, const auto& specs, std::span<const Type> types) {
      for (std::size_t i = 0; i < specs.size(); ++i)
        if (!to_data_type(types[i]))
          throw Error(ErrorKind::config,
                      fmt::format("{} '{}' is {}, which requests cannot carry", what,
                                  printable(specs[i].name), type_name(types[i])));
    };
    check("input", signature().inputs, program_.input_types());
    check("output", signature().outputs, program_.output_types());
  }

  std::vector<std::size_t> places_of(std::span<const std::string> names) const {
    const auto& specs = signature().outputs;
    std::vector<std::size_t> places;
    std::vector<std::string> known;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      known.push_back(specs[i].name);
      if (names.empty()) places.push_back(i);
    }
    for (const std::string& name : names) {
      const auto place = std::find(known.begin(), known.end(), name);
      if (place == known.end())
        throw Error(ErrorKind::usage, fmt::format("unknown output '{}'", printable(name)))
            .with_hint(suggestion_hint(name, known, "outputs"));
      places.push_back(static_cast<std::size_t>(place - known.begin()));
    }
    return places;
  }

  // The caller's tensor must hold what its shape says; a wrong one must not become a wild read.
  static void check_data(const NamedTensor& input) {
    const model::Tensor& tensor = input.tensor;
    const auto count = model::element_count(tensor.shape);
    const std::size_t have = tensor.type == model::DataType::string
                                 ? tensor.strings.size()
                                 : tensor.data.size() / model::data_type_size(tensor.type);
    if (!count || static_cast<std::uint64_t>(*count) != have)
      throw Error(ErrorKind::usage, fmt::format("input '{}' has {} elements for shape {}",
                                                input.name, have, model::shape_text(tensor.shape)));
  }

  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<kernels::Device> accelerator_; // null: none
  Program program_;
  std::string cpu_reason_;
  mutable std::mutex mutex_;
  mutable std::condition_variable given_back_;
  mutable int lent_ = 0;
  mutable std::vector<std::unique_ptr<Program::Context>> contexts_;
  const std::size_t most_contexts_ = std::max(2U, std::thread::hardware_concurrency());
};

// Null for the CPU. Throws kernels::Error where there is no such GPU.
std::unique_ptr<kernels::Device> open_accelerator(std::string_view device) {
  constexpr std::string_view kNumbered = "cuda:";
  if (device == "cpu") return nullptr;
  if (device == "cuda") return kernels::make_cuda_device(0);
  std::uint16_t ordinal = 0;
  const char* end = device.data() + device.size();
  if (device.starts_with(kNumbered)) {
    const auto [rest, error] = std::from_chars(device.data() + kNumbered.size(), end, ordinal);
    if (error == std::errc() && rest == end) return kernels::make_cuda_device(ordinal);
  }
  throw Error(ErrorKind::usage, fmt::format("unknown device '{}'", printable(device)))
      .with_hint("auto, cpu, cuda or cuda:N");
}

// With "auto", what keeps a GPU from running the model is said, and the CPU does it.
std::unique_ptr<NativeRuntime> make_runtime(std::string_view bytes,
                                            const serve::RuntimeOptions& options) {
  if (options.device != "auto")
    return std::make_unique<NativeRuntime>(bytes, options.threads,
                                           open_accelerator(options.device));
  kernels::CudaStatus status = kernels::cuda_status();
  if (status.devices > 0) {
    try {
      return std::make_unique<NativeRuntime>(bytes, options.threads, open_accelerator("cuda"));
    } catch (const kernels::Error& error) {
      log_warning(fmt::format("the model runs on the CPU: {}", error.what()));
      status.reason.clear(); // is told
    }
  }
  auto runtime = std::make_unique<NativeRuntime>(bytes, options.threads, nullptr);
  runtime->set_cpu_reason(std::move(status.reason));
  return runtime;
}

bool is_onnx_file(const fs::path& path) {
  std::error_code error;
  return path.extension() == ".onnx" && fs::is_regular_file(path, error);
}

// The model's file, or nothing if `path` has none, or more than one without a model.onnx.
std::optional<fs::path> find_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (is_onnx_file(path)) return path;
    return std::nullopt;
  }
  if (is_onnx_file(path / "model.onnx")) return path / "model.onnx";
  std::optional<fs::path> found;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!is_onnx_file(entry->path())) continue;
    if (found) return std::nullopt;
    found = entry->path();
  }
  return found;
}

class NativeFactory final : public serve::RuntimeFactory {
 public:
  std::string_view name() const noexcept override { return "native"; }

  bool accepts(const fs::path& model) const override { return find_file(model).has_value(); }

  std::unique_ptr<serve::Runtime> load(const fs::path& model,
                                       const serve::RuntimeOptions& options) const override {
    std::error_code error;
    if (!fs::exists(model, error))
      throw Error(ErrorKind::not_found, fmt::format("no model at '{}'", model.string()));
    const std::optional<fs::path> file = find_file(model);
    if (!file)
      throw Error(ErrorKind::config, fmt::format("'{}' holds no ONNX model", model.string()))
          .with_hint("give a file named *.onnx, or a folder with model.onnx or one *.onnx");
    return with_context(fmt::format("while loading '{}'", file->string()), [&] {
      const Limits limits;
      std::string bytes;
      try {
        bytes = read_file(*file, limits.file_bytes);
        return make_runtime(bytes, options);
      } catch (const kernels::Error& failure) {
        const bool missing = failure.kind() == kernels::ErrorKind::unavailable;
        throw Error(missing ? ErrorKind::unreachable : ErrorKind::failed, failure.what())
            .with_hint(failure.hint());
      } catch (const std::bad_alloc&) {
        throw Error(ErrorKind::failed, "the machine has not enough memory for the model");
      }
    });
  }
};

} // namespace

const serve::RuntimeFactory& runtime_factory() noexcept {
  static const NativeFactory factory;
  return factory;
}

} // namespace mlp::native
