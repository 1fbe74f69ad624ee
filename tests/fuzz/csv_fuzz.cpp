// Any bytes as a CSV file: they are read or refused with an Error, in bounded memory. The first
// byte chooses the dialect.
#include "core/base/error.hpp"
#include "core/train/table.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

using namespace mlp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t choice = data[0];
  const std::span<const char> text(reinterpret_cast<const char*>(data) + 1, size - 1);
  train::TableOptions options;
  options.dialect.delimiter = ",;\t |"[choice % 5];
  options.dialect.trim = (choice & 8) != 0;
  options.dialect.comment = (choice & 16) != 0 ? "#" : "";
  options.dialect.skip_rows = (choice & 32) != 0 ? 1 : 0;
  options.dialect.max_line_bytes = 1000;
  options.max_bytes = 16 << 20;
  if ((choice & 64) != 0) {
    options.header = false;
    options.columns = {"a", "b"};
  }
  if ((choice & 128) != 0) options.kinds["a"] = train::ColumnKind::number;
  try {
    const train::Table table =
        train::read_table([&] { return train::memory_source(text, "fuzz.csv"); }, options);
    for (const train::Column& column : table.columns)
      if (column.numbers.size() + column.codes.size() != table.lines.size()) __builtin_trap();
  } catch (const Error&) { // what a user would be told
  }
  return 0;
}
