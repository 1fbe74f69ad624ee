// The masker: any split of any text gives what the whole gives, and what is left has no secret that
// the rule "cover every byte of every occurrence" would not leave.
#include "core/secret/masker.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

// The rule itself, as slowly as it is said.
std::string plainly_masked(const std::vector<std::string>& values, const std::string& text) {
  std::vector<bool> covered(text.size(), false);
  for (const std::string& value : values)
    if (value.size() >= mlp::secret::least_masked_bytes)
      for (std::size_t at = text.find(value); at != std::string::npos;
           at = text.find(value, at + 1))
        std::fill_n(covered.begin() + static_cast<std::ptrdiff_t>(at), value.size(), true);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!covered[i])
      out += text[i];
    else if (i == 0 || !covered[i - 1])
      out += "***";
  return out;
}

} // namespace

// First the lengths of three secrets, which are then taken from the text itself; then how to split.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8 || size > 4096) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 8, size - 8);
  std::vector<std::string> values;
  for (int i = 0; i < 3; ++i)
    if (!text.empty()) values.push_back(text.substr(data[i] % text.size(), data[3 + i] % 32));
  const mlp::secret::MaskedValues masked(values);
  const std::string wanted = plainly_masked(values, text);
  if (masked.mask(text) != wanted) std::abort();
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{data[6]} + 1, std::size_t{data[7]} + 1}) {
    mlp::secret::Masker masker(masked);
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += step)
      masker.write(std::string_view(text).substr(at, step), out);
    masker.finish(out);
    if (out != wanted) std::abort();
  }
  return 0;
}
