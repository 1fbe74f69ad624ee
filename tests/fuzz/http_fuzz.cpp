// Bytes as a connection, in two pieces cut where the first byte says: nothing may crash, and a
// connection that failed stays failed.
#include "core/serve/http_parser.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace mlp::serve;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  HttpParser parser({.max_header = 512, .max_body = 4096});
  std::string pending = text.substr(0, data[0]);
  bool whole = pending.size() == text.size();
  for (std::size_t round = 0; round < 4 * size + 16; ++round) {
    const std::size_t taken = parser.feed(pending);
    if (taken > pending.size()) std::abort();
    pending.erase(0, taken);
    if (parser.state() == HttpParser::State::failed) {
      if (parser.status() < 400 || parser.message().empty()) std::abort();
      return 0;
    }
    if (parser.state() == HttpParser::State::done) {
      HttpRequest request = parser.take();
      if (request.method.empty() || request.body.size() > 4096) std::abort();
      std::string decoded;
      (void)percent_decode(request.path(), decoded);
      std::string head;
      append_response_head(head, error_response(400, request.target), request, true);
      continue;
    }
    if (taken > 0) continue;
    if (whole) return 0;
    pending += text.substr(std::min<std::size_t>(data[0], text.size()));
    whole = true;
  }
  return 0;
}
