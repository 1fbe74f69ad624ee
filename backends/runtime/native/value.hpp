// A tensor inside the runtime: a type, a shape and a counted reference to memory, so that reshaping
// is free and a buffer goes back to its pool as soon as the last node has read it.
#pragma once

#include "backends/runtime/native/types.hpp"
#include "core/model/tensor.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mlp::kernels {
class Device;
}

namespace mlp::native {

inline constexpr std::size_t kMaxRank = 16;

// A shape, in place. Growing past kMaxRank throws Error(failed).
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> dims);
  explicit Dims(std::span<const std::int64_t> dims);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::int64_t* begin() noexcept { return dims_.data(); }
  [[nodiscard]] std::int64_t* end() noexcept { return dims_.data() + size_; }
  [[nodiscard]] const std::int64_t* begin() const noexcept { return dims_.data(); }
  [[nodiscard]] const std::int64_t* end() const noexcept { return dims_.data() + size_; }
  [[nodiscard]] std::int64_t& operator[](std::size_t i) noexcept { return dims_[i]; }
  [[nodiscard]] std::int64_t operator[](std::size_t i) const noexcept { return dims_[i]; }
  [[nodiscard]] std::int64_t back() const noexcept { return dims_[size_ - 1]; }
  void push_back(std::int64_t dim);
  void insert(std::size_t at, std::int64_t dim);
  void erase(std::size_t at) noexcept;
  [[nodiscard]] std::span<const std::int64_t> span() const noexcept { return {begin(), size_}; }
  // The product of dimensions [from, to).
  [[nodiscard]] std::int64_t product(std::size_t from, std::size_t to) const noexcept;
  friend bool operator==(const Dims& a, const Dims& b) noexcept {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  std::size_t size_ = 0;
};

[[nodiscard]] std::string to_string(const Dims& dims);

class Memory;

// A block of memory with the count of the Values that use it. Only StorageRef touches it.
struct Storage;
class StorageRef {
 public:
  StorageRef() = default;
  StorageRef(const StorageRef& other) noexcept;
  StorageRef(StorageRef&& other) noexcept : storage_(other.storage_) { other.storage_ = nullptr; }
  StorageRef& operator=(StorageRef other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StorageRef();
  [[nodiscard]] bool unique() const noexcept; // this is the only reference
  explicit operator bool() const noexcept { return storage_ != nullptr; }

 private:
  friend class Memory;
  Storage* storage_ = nullptr;
};

// Dense and row-major. Copying shares the memory: write only to what allocate() just gave.
struct Value {
  Type type = Type::undefined;
  Dims dims;
  std::int64_t count = 0; // elements
  StorageRef storage;
  void* address = nullptr; // aligned to kernels::kAlignment, never null once allocated

  template <class T>
  [[nodiscard]] T* data() noexcept {
    return static_cast<T*>(address);
  }
  template <class T>
  [[nodiscard]] const T* data() const noexcept {
    return static_cast<const T*>(address);
  }
  template <class T>
  [[nodiscard]] std::span<const T> elements() const noexcept {
    return {data<T>(), static_cast<std::size_t>(count)};
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(count) * type_size(type);
  }
  // The same elements under another shape of as many elements.
  [[nodiscard]] Value reshaped(const Dims& shape) const;
};

// A pool of blocks with a limit on what is in use together. For one thread at a time; Values made
// from it may be read by many. It must outlive them. With a device, the blocks are memory of that
// device, which must outlive the pool: then there are no strings, nothing is imported, and a block
// that is given back may be lent again at once, so that all that uses them runs on one stream.
class Memory {
 public:
  explicit Memory(std::uint64_t limit_bytes, kernels::Device* device = nullptr);
  ~Memory();
  Memory(Memory&&) = delete;

  // Contents are not initialised (strings are empty). Throws Error(failed) if a dimension is
  // negative, or the limit would be passed.
  [[nodiscard]] Value allocate(Type type, const Dims& dims);
  // Bytes that no Value owns: workspace of a kernel.
  [[nodiscard]] StorageRef scratch(std::size_t bytes, void*& address);
  [[nodiscard]] Value import(const model::Tensor& tensor);

  // Gives back to the system what the last calls had no use for.
  void end_call() noexcept;
  [[nodiscard]] std::uint64_t in_use() const noexcept { return in_use_; }

 private:
  friend class StorageRef;
  void recycle(Storage* storage) noexcept;
  void check(std::uint64_t bytes, const Dims* dims, Type type) const;

  std::uint64_t limit_;
  kernels::Device* device_;
  std::uint64_t in_use_ = 0;
  std::uint64_t call_ = 0;
  std::vector<Storage*> free_; // by size class, each a list
};

// Copies out; the value must have a type with a name at our boundary.
[[nodiscard]] model::Tensor export_tensor(const Value& value);

} // namespace mlp::native
