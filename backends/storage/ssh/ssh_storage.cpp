// The storage interface in terms of the protocol's requests, over one connection.
#include "backends/storage/ssh/ssh_storage.hpp"

#include "backends/storage/ssh/ssh_client.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::storage {

namespace {

using data::check_name_kind;
using data::check_object_name;

constexpr std::size_t frame_bytes = 512 * 1024; // of an object on its way: others come between

class SshWriter final : public data::ObjectWriter {
 public:
  SshWriter(SshClient& client, std::string name) : client_(client), name_(std::move(name)) {
    explain([&] {
      connection_ = client_.connect();
      call_ = connection_->start({.kind = FrameKind::write, .names = {name_}});
    });
  }
  ~SshWriter() override {
    if (committed_ || !call_ || connection_->failed()) return;
    try {
      call_->send(FrameKind::abandon, {});
    } catch (const Error&) { // the other end abandons it with the connection
      call_.reset();
    }
  }

  void append(std::span<const std::byte> data) override {
    explain([&] {
      while (!data.empty()) {
        const auto part = data.first(std::min(data.size(), frame_bytes));
        call_->send(FrameKind::data, part);
        data = data.subspan(part.size());
      }
    });
  }
  void commit() override {
    explain([&] {
      call_->send(FrameKind::commit, {});
      static_cast<void>(call_->finish());
    });
    committed_ = true;
  }

  [[nodiscard]] bool may_repeat() const override {
    return client_.options().retry.attempts > 1 && connection_->failed_transiently();
  }

 private:
  template <class Body>
  void explain(Body&& body) {
    try {
      body();
    } catch (Error& error) {
      error.add_context(
          fmt::format("while writing object '{}' at '{}'", name_, client_.place().location));
      if (connection_ && connection_->failed_transiently())
        error.add_hint("run the command again: what has arrived whole is not sent again");
      throw;
    }
  }

  SshClient& client_;
  std::string name_;
  std::shared_ptr<SshConnection> connection_;
  std::unique_ptr<SshCall> call_; // after the connection, which it uses
  bool committed_ = false;
};

class SshStorage final : public data::Storage, public data::AbandonedWrites {
 public:
  SshStorage(SshPlace place, const SshOptions& options) : client_(std::move(place), options) {}

  [[nodiscard]] std::string location() const override { return client_.place().location; }
  [[nodiscard]] unsigned parallel_reads() const override { return 8; }

  [[nodiscard]] std::vector<std::optional<std::uint64_t>>
  has(std::span<const std::string> names) override;
  std::size_t read(std::string_view name, std::uint64_t offset, std::span<std::byte> into) override;
  [[nodiscard]] std::unique_ptr<data::ObjectWriter> write(std::string_view name) override {
    check_name_kind(name, false);
    return std::make_unique<SshWriter>(client_, std::string(name));
  }
  [[nodiscard]] data::ListPage list(std::string_view prefix, std::string_view after,
                                    std::size_t limit) override;
  void remove(std::span<const std::string> names) override;
  [[nodiscard]] std::optional<std::string> read_ref(std::string_view name) override;
  data::SwapResult compare_and_swap(std::string_view name,
                                    const std::optional<std::string>& expected,
                                    const std::optional<std::string>& desired) override;
  std::size_t remove_abandoned_writes() override;

 private:
  template <class Body>
  auto using_place(std::string_view doing, std::string_view name, Body&& body) {
    try {
      return body();
    } catch (Error& error) {
      error.add_context(name.empty()
                            ? fmt::format("while {} '{}'", doing, location())
                            : fmt::format("while {} '{}' at '{}'", doing, name, location()));
      throw;
    }
  }

  SshClient client_;
};

std::vector<std::optional<std::uint64_t>> SshStorage::has(std::span<const std::string> names) {
  for (const auto& name : names)
    check_object_name(name);
  std::vector<std::optional<std::uint64_t>> sizes;
  while (!names.empty()) {
    const auto some = names.first(std::min(names.size(), max_names));
    names = names.subspan(some.size());
    const auto found = using_place("looking for object", some.front(), [&] {
      return decode_sizes(
          client_.ask({.kind = FrameKind::has, .names = {some.begin(), some.end()}}), some.size());
    });
    sizes.insert(sizes.end(), found.begin(), found.end());
  }
  return sizes;
}

std::size_t SshStorage::read(std::string_view name, std::uint64_t offset,
                             std::span<std::byte> into) {
  check_object_name(name);
  return using_place("reading object", name, [&] {
    std::size_t done = 0;
    do {
      const auto part = into.subspan(done, std::min<std::size_t>(into.size() - done, max_read));
      std::size_t filled = 0;
      client_.ask({.kind = FrameKind::read,
                   .names = {std::string(name)},
                   .offset = offset + done,
                   .size = part.size()},
                  part, &filled);
      done += filled;
      if (filled < part.size()) break;
    } while (done < into.size());
    return done;
  });
}

data::ListPage SshStorage::list(std::string_view prefix, std::string_view after,
                                std::size_t limit) {
  if (prefix.size() > data::max_object_name) return {};
  limit = std::min(limit, max_page);
  return using_place("listing", "", [&] {
    return decode_page(client_.ask({.kind = FrameKind::list,
                                    .text = std::string(prefix),
                                    .after = std::string(after.substr(0, data::max_object_name)),
                                    .size = limit}),
                       prefix, after, limit);
  });
}

void SshStorage::remove(std::span<const std::string> names) {
  for (const auto& name : names)
    check_name_kind(name, false);
  while (!names.empty()) {
    const auto some = names.first(std::min(names.size(), max_names));
    names = names.subspan(some.size());
    using_place("removing object", some.front(), [&] {
      client_.ask({.kind = FrameKind::remove, .names = {some.begin(), some.end()}});
    });
  }
}

std::optional<std::string> SshStorage::read_ref(std::string_view name) {
  check_name_kind(name, true);
  return using_place("reading ref", name, [&] {
    return decode_ref(client_.ask({.kind = FrameKind::read_ref, .names = {std::string(name)}}));
  });
}

data::SwapResult SshStorage::compare_and_swap(std::string_view name,
                                              const std::optional<std::string>& expected,
                                              const std::optional<std::string>& desired) {
  check_name_kind(name, true);
  if (desired && desired->size() > data::max_ref_bytes)
    throw Error(ErrorKind::failed, fmt::format("ref '{}' is larger than 64 KiB", name));
  // No ref holds more, so the answer is known but for what the ref does hold.
  if (expected && expected->size() > data::max_ref_bytes) return {false, read_ref(name)};
  // Not repeated: whether a swap whose answer was lost has happened cannot be told for certain.
  return using_place("changing ref", name, [&] {
    return decode_swap(client_.ask_once({.kind = FrameKind::swap,
                                         .names = {std::string(name)},
                                         .expected = expected,
                                         .desired = desired}));
  });
}

std::size_t SshStorage::remove_abandoned_writes() {
  return using_place("cleaning", "", [&] {
    return static_cast<std::size_t>(decode_count(client_.ask({.kind = FrameKind::clean})));
  });
}

} // namespace

std::unique_ptr<data::Storage> open_ssh_storage(const net::Url& url, const SshOptions& options) {
  SshPlace place = read_ssh_url(url);
  static_cast<void>(ssh_arguments(place, options, true));
  return std::make_unique<SshStorage>(std::move(place), options);
}

} // namespace mlp::storage
