// Shapes, the pool of memory, and the copies in and out of the runtime.
#include "backends/runtime/native/value.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

namespace mlp::native {

namespace {
constexpr std::size_t kAlignment = 64;
constexpr std::uint64_t kCallsKept = 16; // a block that so many calls did not use is freed
} // namespace

Dims::Dims(std::initializer_list<std::int64_t> dims) {
  for (const std::int64_t d : dims)
    push_back(d);
}

Dims::Dims(std::span<const std::int64_t> dims) {
  for (const std::int64_t d : dims)
    push_back(d);
}

void Dims::push_back(std::int64_t dim) {
  if (size_ == kMaxRank)
    throw Error(ErrorKind::failed,
                fmt::format("a tensor has more than {} dimensions, the limit", kMaxRank));
  dims_[size_++] = dim;
}

void Dims::insert(std::size_t at, std::int64_t dim) {
  push_back(dim);
  std::rotate(begin() + at, end() - 1, end());
}

void Dims::erase(std::size_t at) noexcept {
  std::copy(begin() + at + 1, end(), begin() + at);
  --size_;
}

std::int64_t Dims::product(std::size_t from, std::size_t to) const noexcept {
  std::int64_t product = 1;
  for (std::size_t i = from; i < to; ++i)
    product *= dims_[i];
  return product;
}

std::string to_string(const Dims& dims) {
  return model::shape_text(dims.span());
}

struct Storage {
  Memory* owner = nullptr;
  std::atomic<std::uint32_t> references{0};
  std::size_t size_class = 0;
  std::size_t capacity = 0;
  std::uint64_t last_call = 0;
  void* bytes = nullptr; // capacity bytes, or null
  kernels::Device* device = nullptr;
  Storage* next = nullptr; // in the list of free blocks
  std::vector<std::string> strings;

  ~Storage() {
    if (device != nullptr)
      device->release(bytes);
    else if (bytes != nullptr)
      ::operator delete (bytes, std::align_val_t{kAlignment});
  }
};

StorageRef::StorageRef(const StorageRef& other) noexcept : storage_(other.storage_) {
  if (storage_ != nullptr) storage_->references.fetch_add(1, std::memory_order_relaxed);
}

StorageRef::~StorageRef() {
  if (storage_ != nullptr && storage_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    storage_->owner->recycle(storage_);
}

bool StorageRef::unique() const noexcept {
  return storage_ != nullptr && storage_->references.load(std::memory_order_acquire) == 1;
}

Value Value::reshaped(const Dims& shape) const {
  Value view = *this;
  view.dims = shape;
  return view;
}

namespace {

// Four classes an octave from 64 bytes on: at most a quarter of a block is unused.
std::size_t class_of(std::size_t bytes) noexcept {
  if (bytes <= 64) return 0;
  const auto octave = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1; // 2^octave < bytes
  const std::size_t quarter = std::size_t{1} << (octave - 2);
  return (octave - 6) * 4 + (bytes - (std::size_t{1} << octave) + quarter - 1) / quarter;
}

std::size_t class_bytes(std::size_t size_class) noexcept {
  const std::size_t octave = 6 + size_class / 4;
  return (std::size_t{1} << octave) + (size_class % 4) * (std::size_t{1} << (octave - 2));
}

constexpr std::size_t kStringClass = 256; // after every class of bytes
constexpr std::size_t kClasses = kStringClass + 1;

} // namespace

Memory::Memory(std::uint64_t limit_bytes, kernels::Device* device)
    : limit_(limit_bytes), device_(device), free_(kClasses) {}

Memory::~Memory() {
  for (Storage* head : free_)
    while (head != nullptr)
      delete std::exchange(head, head->next);
}

void Memory::check(std::uint64_t bytes, const Dims* dims, Type type) const {
  if (bytes <= limit_ && in_use_ <= limit_ - bytes) return;
  const std::string what =
      dims != nullptr ? fmt::format("a {} tensor of shape {}", type_name(type), to_string(*dims))
                      : std::string("a workspace");
  throw Error(ErrorKind::failed, fmt::format("{} takes {}, which passes the limit of {} in use",
                                             what, format_bytes(bytes), format_bytes(limit_)));
}

StorageRef Memory::scratch(std::size_t bytes, void*& address) {
  const std::size_t size_class = class_of(bytes);
  const std::size_t capacity = class_bytes(size_class);
  Storage* storage = nullptr;
  check(bytes, nullptr, Type::u8);
  if (free_[size_class] != nullptr) {
    storage = std::exchange(free_[size_class], free_[size_class]->next);
  } else {
    auto fresh = std::make_unique<Storage>();
    fresh->bytes = device_ != nullptr ? device_->allocate(capacity)
                                      : ::operator new (capacity, std::align_val_t{kAlignment});
    fresh->device = device_;
    fresh->owner = this;
    fresh->size_class = size_class;
    fresh->capacity = capacity;
    storage = fresh.release();
  }
  storage->references.store(1, std::memory_order_relaxed);
  storage->last_call = call_;
  in_use_ += capacity;
  address = storage->bytes;
  StorageRef reference;
  reference.storage_ = storage;
  return reference;
}

Value Memory::allocate(Type type, const Dims& dims) {
  const auto count = model::element_count(dims.span());
  const std::size_t size = type_size(type);
  if (!count ||
      static_cast<std::uint64_t>(*count) > UINT64_MAX / 2 / std::max<std::size_t>(size, 1))
    throw Error(ErrorKind::failed, fmt::format("not a tensor's shape: {}", to_string(dims)));
  const std::uint64_t bytes = static_cast<std::uint64_t>(*count) * size;
  check(bytes, &dims, type);
  Value value;
  value.type = type;
  value.dims = dims;
  value.count = *count;
  if (type != Type::string) {
    value.storage = scratch(static_cast<std::size_t>(bytes), value.address);
    return value;
  }
  if (device_ != nullptr) refuse_type(type);
  auto fresh = std::make_unique<Storage>();
  fresh->owner = this;
  fresh->size_class = kStringClass;
  fresh->strings.resize(static_cast<std::size_t>(std::max<std::int64_t>(*count, 1)));
  fresh->capacity = fresh->strings.size() * sizeof(std::string);
  fresh->references.store(1, std::memory_order_relaxed);
  in_use_ += fresh->capacity;
  value.address = fresh->strings.data();
  value.storage.storage_ = fresh.release();
  return value;
}

void Memory::recycle(Storage* storage) noexcept {
  in_use_ -= storage->capacity;
  if (storage->size_class == kStringClass) {
    delete storage;
    return;
  }
  storage->next = free_[storage->size_class];
  free_[storage->size_class] = storage;
}

void Memory::end_call() noexcept {
  ++call_;
  for (Storage*& head : free_)
    for (Storage** link = &head; *link != nullptr;) {
      if ((*link)->last_call + kCallsKept >= call_)
        link = &(*link)->next;
      else
        delete std::exchange(*link, (*link)->next);
    }
}

Value Memory::import(const model::Tensor& tensor) {
  Value value = allocate(from_data_type(tensor.type), Dims(tensor.shape));
  if (value.type == Type::string)
    std::copy(tensor.strings.begin(), tensor.strings.end(), value.data<std::string>());
  else if (!tensor.data.empty()) // then its address may be null
    std::memcpy(value.address, tensor.data.data(), tensor.data.size());
  return value;
}

model::Tensor export_tensor(const Value& value) {
  model::Tensor tensor;
  tensor.type = to_data_type(value.type).value_or(model::DataType::uint8);
  tensor.shape.assign(value.dims.begin(), value.dims.end());
  if (value.type == Type::string) {
    const auto strings = value.elements<std::string>();
    tensor.strings.assign(strings.begin(), strings.end());
  } else {
    const auto bytes = std::span(value.data<std::byte>(), value.bytes());
    tensor.data.assign(bytes.begin(), bytes.end());
  }
  return tensor;
}

} // namespace mlp::native
