// Event files put together byte by byte after the format's specification, as PyTorch's and
// TensorFlow's writers make them.
#include "core/base/error.hpp"
#include "core/track/event_file.hpp"
#include "tests/unit/core/track/event_bytes.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cmath>

using namespace mlp;
using namespace mlp::track;
using namespace mlp::test;

namespace {

struct Fixture {
  TemporaryDirectory folder;
  fs::path path = folder.path() / "events.out.tfevents.1700000000.host.1.0";

  std::string write(const std::string& bytes) const {
    File::create(path).write(bytes);
    return bytes;
  }
  struct Got {
    std::vector<std::string> scalars;
    EventFileEnd end;
  };
  [[nodiscard]] Got read(std::uint64_t from = 0) const {
    Got got;
    got.end = read_event_file(path, from, [&](const EventScalar& s) {
      got.scalars.push_back(fmt::format("{} {} {} {}", s.tag, s.step, s.value, s.wall_time));
    });
    return got;
  }
};

using Texts = std::vector<std::string>;

Texts scalars_of(const std::string& event_bytes) {
  Texts out;
  read_event(event_bytes, [&](const EventScalar& s) {
    out.push_back(fmt::format("{} {} {}", s.tag, s.step, s.value));
  });
  return out;
}

std::string tensor(std::uint64_t type, const std::string& values, const std::string& shape = "") {
  return varint_field(1, type) + bytes_field(2, shape) + values;
}
Texts scalars_of_tensor(const std::string& message) {
  return scalars_of(event(1.0, 3, bytes_field(1, "t") + bytes_field(8, message)));
}

} // namespace

TEST_CASE("the checksum of records is CRC-32C, masked", "[track][tensorboard]") {
  CHECK(crc32c("123456789") == 0xe3069283);             // the check value of the algorithm
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);   // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43); // RFC 3720, B.4
  CHECK(masked_crc32c("123456789") == ((0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u));
}

TEST_CASE("scalars of a file are read in order", "[track][tensorboard]") {
  const Fixture f;
  const std::string bytes =
      f.write(record(double_field(1, 1.7e9) + bytes_field(3, "brain.Event:2")) +
              record(event(1.7e9, 1, simple("loss", 0.5F), bytes_field(1, simple("acc", 0.25F)))) +
              record(event(1.7e9 + 1, -2, simple("loss", 2.0F))));
  const auto got = f.read();
  CHECK(got.scalars ==
        Texts{"loss 1 0.5 1700000000", "acc 1 0.25 1700000000", "loss -2 2 1700000001"});
  CHECK(got.end.offset == bytes.size());
  CHECK_FALSE(got.end.damaged);
  CHECK(f.read(got.end.offset).scalars.empty());
}

TEST_CASE("tensors of one element are scalars, whichever way their value is written",
          "[track][tensorboard]") {
  const auto fixed32 = [](float value) { return float_bytes(value); };
  CHECK(scalars_of_tensor(tensor(1, bytes_field(4, fixed32(1.5F)))) == Texts{"t 3 1.5"});
  CHECK(scalars_of_tensor(tensor(1, float_field(5, 1.5F))) == Texts{"t 3 1.5"});
  CHECK(scalars_of_tensor(tensor(1, bytes_field(5, fixed32(1.5F)))) == Texts{"t 3 1.5"}); // packed
  CHECK(scalars_of_tensor(tensor(2, double_field(6, 0.1))) == Texts{"t 3 0.1"});
  CHECK(scalars_of_tensor(tensor(3, varint_field(7, ~std::uint64_t{0}))) == Texts{"t 3 -1"});
  CHECK(scalars_of_tensor(tensor(9, bytes_field(10, "\x07"))) == Texts{"t 3 7"});
  CHECK(scalars_of_tensor(tensor(19, varint_field(13, 0x3e00))) == Texts{"t 3 1.5"});
  CHECK(scalars_of_tensor(tensor(14, varint_field(13, 0x3fc0))) == Texts{"t 3 1.5"});
  CHECK(scalars_of_tensor(tensor(19, bytes_field(4, std::string("\x01\x00", 2)))) ==
        Texts{fmt::format("t 3 {}", std::ldexp(1, -24))});
  const std::string one = bytes_field(2, varint_field(1, 1)),
                    three = bytes_field(2, varint_field(1, 3));
  CHECK(scalars_of_tensor(tensor(1, float_field(5, 1.5F), one + one)) == Texts{"t 3 1.5"});
  // More than one, of another type, or none.
  CHECK(scalars_of_tensor(tensor(1, float_field(5, 1.5F), three)).empty());
  CHECK(scalars_of_tensor(tensor(1, bytes_field(5, fixed32(1) + fixed32(2)))).empty());
  CHECK(scalars_of_tensor(tensor(7, bytes_field(8, "text"))).empty());
  CHECK(scalars_of_tensor(tensor(1, "")).empty());
  CHECK(scalars_of_tensor(tensor(~std::uint64_t{0}, float_field(5, 1))).empty());
}

TEST_CASE("values for other plugins are no scalars", "[track][tensorboard]") {
  const auto metadata = [](const char* plugin) {
    return bytes_field(9, bytes_field(1, bytes_field(1, plugin)));
  };
  const std::string value = bytes_field(1, "t") + bytes_field(8, tensor(1, float_field(5, 1.5F)));
  CHECK(scalars_of(event(1, 3, value + metadata("scalars"))) == Texts{"t 3 1.5"});
  CHECK(scalars_of(event(1, 3, metadata("hparams") + value)).empty());
  CHECK(scalars_of(event(1, 3, bytes_field(1, "\xff") + float_field(2, 1))).empty());
  CHECK(scalars_of(event(1, 3, float_field(2, 1))).empty()); // no tag
}

TEST_CASE("a torn tail is left for later, wherever it was torn", "[track][tensorboard]") {
  const Fixture f;
  const std::string first = record(event(5, 1, simple("a", 1)));
  const std::string all = first + record(event(6, 2, simple("a", 2)));
  for (std::size_t size = 0; size < all.size(); ++size) {
    f.write(all.substr(0, size));
    const auto got = f.read();
    INFO(size);
    CHECK_FALSE(got.end.damaged);
    CHECK(got.end.offset == (size < first.size() ? 0 : first.size()));
    CHECK(got.scalars.size() == (size < first.size() ? 0U : 1U));
  }
  f.write(all);
  CHECK(f.read(first.size()).scalars == Texts{"a 2 2 6"});
}

TEST_CASE("a bit that is wrong ends the reading", "[track][tensorboard]") {
  const Fixture f;
  const std::string first = record(event(5, 1, simple("a", 1)));
  const std::string second = record(event(6, 2, simple("a", 2)));
  for (std::size_t i = 0; i < second.size(); ++i) {
    std::string bytes = first;
    bytes.append(second).append(first);
    bytes[first.size() + i] = static_cast<char>(bytes[first.size() + i] ^ 0x10);
    f.write(bytes);
    const auto got = f.read();
    INFO(i);
    CHECK(got.end.damaged);
    CHECK(got.end.offset == first.size());
    CHECK(got.scalars == Texts{"a 1 1 5"});
  }
}

TEST_CASE("a record that is too large for a scalar is passed over", "[track][tensorboard]") {
  const Fixture f;
  const std::string image = bytes_field(1, bytes_field(4, std::string(5u << 20, 'x')));
  f.write(record(double_field(1, 1) + bytes_field(5, image)) + record(event(5, 1, simple("a", 1))));
  CHECK(f.read().scalars == Texts{"a 1 1 5"});
  // A length that no file has.
  f.write(record_header(~std::uint64_t{0}) + "rest");
  CHECK_FALSE(f.read().end.damaged);
  CHECK(f.read().scalars.empty());
}

TEST_CASE("bytes that are no message have no scalars", "[track][tensorboard]") {
  const std::string good = event(5, 1, simple("a", 1));
  for (std::size_t size = 0; size <= good.size(); ++size)
    (void)scalars_of(good.substr(0, size));
  for (const char* bytes : {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x2a\xff\xff\xff\x0f",
                            "\x2b", "\x07", "\x08"})
    CHECK(scalars_of(bytes).empty());
}
