// A storage in memory, for tests: the smallest thing that keeps the promises of storage.hpp. It can
// also be told to fail after a number of bytes, as a network does.
#pragma once

#include "core/base/error.hpp"
#include "core/data/storage.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

namespace mlp::test {

class MemoryStorage final : public data::Storage {
 public:
  [[nodiscard]] std::string location() const override { return "memory:"; }

  [[nodiscard]] std::vector<std::optional<std::uint64_t>>
  has(std::span<const std::string> names) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::optional<std::uint64_t>> sizes;
    for (const auto& name : names) {
      data::check_object_name(name);
      const auto it = objects_.find(name);
      sizes.push_back(it == objects_.end() ? std::nullopt
                                           : std::optional<std::uint64_t>(it->second.size()));
    }
    return sizes;
  }

  std::size_t read(std::string_view name, std::uint64_t offset,
                   std::span<std::byte> into) override {
    data::check_object_name(name);
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(name);
    if (it == objects_.end())
      throw Error(ErrorKind::not_found, "no object '" + std::string(name) + "'");
    if (offset >= it->second.size()) return 0;
    const std::size_t n = std::min<std::size_t>(into.size(), it->second.size() - offset);
    std::memcpy(into.data(), it->second.data() + offset, n);
    bytes_read += n;
    return n;
  }

  [[nodiscard]] std::unique_ptr<data::ObjectWriter> write(std::string_view name) override {
    data::check_name_kind(name, false);
    return std::make_unique<Writer>(*this, std::string(name));
  }

  [[nodiscard]] data::ListPage list(std::string_view prefix, std::string_view after,
                                    std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    data::ListPage page;
    for (auto it = objects_.upper_bound(after); it != objects_.end(); ++it) {
      if (!it->first.starts_with(prefix)) continue;
      if (page.objects.size() == limit) {
        page.more = true;
        break;
      }
      page.objects.push_back({it->first, it->second.size()});
    }
    return page;
  }

  void remove(std::span<const std::string> names) override {
    const std::lock_guard lock(mutex_);
    for (const auto& name : names) {
      data::check_name_kind(name, false);
      objects_.erase(name);
    }
  }

  [[nodiscard]] std::optional<std::string> read_ref(std::string_view name) override {
    data::check_name_kind(name, true);
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(name);
    return it == objects_.end() ? std::nullopt : std::optional(it->second);
  }

  data::SwapResult compare_and_swap(std::string_view name,
                                    const std::optional<std::string>& expected,
                                    const std::optional<std::string>& desired) override {
    data::check_name_kind(name, true);
    if (desired && desired->size() > data::max_ref_bytes)
      throw Error(ErrorKind::failed, "ref '" + std::string(name) + "' is larger than 64 KiB");
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(name);
    const auto current = it == objects_.end() ? std::nullopt : std::optional(it->second);
    if (current != expected) return {false, current};
    if (desired)
      objects_.insert_or_assign(std::string(name), *desired);
    else if (it != objects_.end())
      objects_.erase(it);
    return {true, desired};
  }

  // Changes one bit of an object, as a failing disk does.
  void flip_bit(const std::string& name, std::size_t byte, unsigned bit) {
    const std::lock_guard lock(mutex_);
    auto& object = objects_.at(name);
    object.at(byte) = static_cast<char>(object.at(byte) ^ (1 << bit));
  }

  // append() throws unreachable once so many bytes have been appended.
  std::atomic<std::uint64_t> fail_after = UINT64_MAX;
  std::atomic<std::uint64_t> bytes_appended = 0;
  // So many writers lose their connection in the middle, and say that another may do better.
  std::atomic<int> losses = 0;
  std::atomic<std::uint64_t> bytes_read = 0;

 private:
  class Writer final : public data::ObjectWriter {
   public:
    Writer(MemoryStorage& storage, std::string name) : storage_(storage), name_(std::move(name)) {}
    void append(std::span<const std::byte> data) override {
      if (!content_.empty() && storage_.losses > 0 && storage_.losses-- > 0) {
        lost_ = true;
        throw Error(ErrorKind::unreachable, "connection lost");
      }
      if ((storage_.bytes_appended += data.size()) > storage_.fail_after)
        throw Error(ErrorKind::unreachable, "connection reset");
      content_.append(reinterpret_cast<const char*>(data.data()), data.size());
    }
    void commit() override {
      const std::lock_guard lock(storage_.mutex_);
      storage_.objects_.insert_or_assign(name_, std::move(content_));
    }

    [[nodiscard]] bool may_repeat() const override { return lost_; }

   private:
    MemoryStorage& storage_;
    std::string name_;
    std::string content_;
    bool lost_ = false;
  };

  std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> objects_;
};

} // namespace mlp::test
