// IDX files, whole, compressed, cut off, and with hostile headers.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/train/idx.hpp"
#include "tests/unit/core/train/gzip.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace mlp::train {
namespace {

// Two images of 2 x 3 with the pixels 0 to 11.
std::string small_file() {
  std::string bytes("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03", 16);
  for (char pixel = 0; pixel < 12; ++pixel)
    bytes += pixel;
  return bytes;
}

IdxFile read(std::string_view bytes) {
  return read_idx(memory_source(bytes, "f.idx"));
}

std::pair<ErrorKind, std::string> error_of(std::string_view bytes) {
  try {
    static_cast<void>(read(bytes));
  } catch (const Error& error) {
    return {error.kind(), error.message()};
  }
  return {ErrorKind::failed, "no error"};
}

} // namespace

TEST_CASE("an IDX file gives its shape and its bytes, gzip or not") {
  const std::string bytes = small_file();
  for (const std::string& text : {bytes, gzip(bytes)}) {
    const IdxFile file = read(text);
    CHECK(file.shape == std::vector<std::int64_t>{2, 2, 3});
    REQUIRE(file.data.size() == 12);
    CHECK(file.data[11] == 11);
  }
}

TEST_CASE("gzip members that follow one another are one IDX file") {
  const std::string bytes = small_file();
  CHECK(read(gzip(bytes.substr(0, 9)) + gzip(bytes.substr(9))).data.size() == 12);
}

TEST_CASE("an IDX file cut off at any byte says what is expected and what was found") {
  const std::string bytes = small_file();
  CHECK(error_of(bytes.substr(0, 20)) ==
        std::pair{ErrorKind::integrity,
                  std::string("'f.idx' ends early: 28 bytes expected, 20 found")});
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(error_of(bytes.substr(0, size)).first == ErrorKind::integrity);
  const std::string packed = gzip(bytes);
  for (std::size_t size = 2; size < packed.size(); ++size)
    CHECK(error_of(packed.substr(0, size)).first == ErrorKind::integrity);
}

TEST_CASE("a damaged gzip IDX file is an integrity error") {
  std::string packed = gzip(small_file());
  packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 1); // in its CRC
  CHECK(error_of(packed).first == ErrorKind::integrity);
}

TEST_CASE("what is no IDX file of bytes is refused by name") {
  CHECK(error_of("hello world") ==
        std::pair{ErrorKind::config, std::string("'f.idx' is not an IDX file")});
  std::string bytes = small_file();
  bytes[2] = 0x0D;
  CHECK(error_of(bytes).second == "'f.idx' holds 32-bit floats; only unsigned bytes are read");
  bytes = small_file();
  bytes[3] = 9;
  CHECK(error_of(bytes).second == "'f.idx' has 9 dimensions; 1 to 8 are read");
  CHECK(error_of(small_file() + "x").second ==
        "'f.idx' goes on after the 28 bytes that its header says");
}

TEST_CASE("an IDX header cannot make the reader allocate what the file does not hold") {
  const std::string huge("\0\0\x08\x02\0\0\xFF\xFF\0\0\xFF\xFF", 12); // 4 GiB
  CHECK(error_of(huge + "abc").second == "'f.idx' ends early: 4294836237 bytes expected, 15 found");
  const std::string over("\0\0\x08\x03\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16);
  CHECK(error_of(over).second == "'f.idx' says that it holds more than 2^36 elements");
}

TEST_CASE("a missing IDX file is not found") {
  TemporaryDirectory folder;
  try {
    static_cast<void>(read_idx(folder.path() / "none"));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::not_found);
  }
}

} // namespace mlp::train
