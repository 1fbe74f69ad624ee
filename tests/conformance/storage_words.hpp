// The words in which the storage suites speak: whole objects as text, and the kind of an error.
#pragma once

#include "core/base/error.hpp"
#include "core/data/storage.hpp"

#include <catch2/catch.hpp>

#include <span>
#include <string>
#include <string_view>

namespace mlp::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

inline void put(data::Storage& storage, std::string_view name, std::string_view content) {
  auto writer = storage.write(name);
  writer->append(bytes_of(content));
  writer->commit();
}

inline std::string get(data::Storage& storage, std::string_view name, std::uint64_t offset,
                       std::size_t size) {
  std::string content(size, '\0');
  content.resize(storage.read(name, offset, std::as_writable_bytes(std::span(content))));
  return content;
}

template <class Body>
ErrorKind kind_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("no error was thrown");
  return ErrorKind::failed;
}

} // namespace mlp::test
