// What stands around a single request: further attempts, redirects, and the few texts of HTTP that
// they need.
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/net/http.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace mlp::net {

namespace {

constexpr unsigned max_redirects = 5;
constexpr std::chrono::seconds longest_wait{60};

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

bool has_credentials(const HttpRequest& request) {
  return request.netrc || std::ranges::any_of(request.headers, [](const auto& header) {
           std::string name = header.first;
           std::ranges::transform(name, name.begin(),
                                  [](unsigned char c) { return std::tolower(c); });
           return name == "authorization" || name == "cookie";
         });
}

// Where a redirect leads: absolute, or a path on the same server. Other relative forms are rare and
// not taken.
std::string redirect_target(const std::string& from, const std::string& location) {
  if (location.starts_with("//")) return from.substr(0, from.find("//")) + location;
  if (location.starts_with("/")) return url_origin(from) + location;
  return location;
}

void follow(HttpRequest& request, const HttpResponse& response) {
  const std::string place = url_origin(request.url);
  const std::string* location = response.header("location");
  if (location == nullptr)
    throw Error(ErrorKind::failed,
                fmt::format("'{}' answered {} without saying where to go", place, response.status));
  const std::string target = redirect_target(request.url, *location);
  const std::string next = url_origin(target);
  const bool web = next.starts_with("http://") || next.starts_with("https://");
  if (!web || (place.starts_with("https:") && !next.starts_with("https:")))
    throw Error(ErrorKind::failed, fmt::format("'{}' redirects to '{}', which is not as safe",
                                               place, printable(next)));
  if (next != place && has_credentials(request))
    throw Error(ErrorKind::denied,
                fmt::format("'{}' redirects to '{}', which would get the credentials", place,
                            printable(next)))
        .with_hint("if that is right, use its address instead");
  request.url = target;
}

} // namespace

bool is_transient_status(unsigned status) noexcept {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view text) {
  static constexpr std::array<std::string_view, 12> months = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(25) != " GMT" || text[3] != ',') return std::nullopt;
  const auto month = std::ranges::find(months, text.substr(8, 3));
  const auto day = number(text.substr(5, 2));
  const auto year = number(text.substr(12, 4));
  const auto hour = number(text.substr(17, 2));
  const auto minute = number(text.substr(20, 2));
  const auto second = number(text.substr(23, 2));
  if (month == months.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(month - months.begin()) + 1),
      std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::optional<std::chrono::milliseconds> retry_after(const HttpResponse& response) {
  const std::string* value = response.header("retry-after");
  if (value == nullptr) return std::nullopt;
  std::chrono::milliseconds wait{};
  if (const auto seconds = number(*value))
    wait = std::min<std::chrono::seconds>(std::chrono::seconds(*seconds), longest_wait);
  else if (const auto date = parse_http_date(*value))
    wait = std::chrono::ceil<std::chrono::milliseconds>(*date - std::chrono::system_clock::now());
  else
    return std::nullopt;
  return std::clamp<std::chrono::milliseconds>(wait, std::chrono::milliseconds(0), longest_wait);
}

std::string url_origin(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url.substr(0, url.find_first_of("?#@")));
  const auto end = std::min(url.find_first_of("/?#", scheme + 3), url.size());
  std::string_view authority = url.substr(scheme + 3, end - scheme - 3);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos)
    authority.remove_prefix(at + 1);
  return fmt::format("{}{}", url.substr(0, scheme + 3), authority);
}

HttpResponse send_again(HttpClient& client, HttpRequest request,
                        const std::function<void()>& restart) {
  unsigned redirects = 0;
  for (Retry retry(client.options().retry, client.options().stop);;) {
    if (restart) restart();
    HttpResponse response = client.send(request);
    if (response.failure) {
      if (response.transient && retry.again()) continue;
      throw *std::move(response.failure);
    }
    const bool redirected = response.status >= 301 && response.status <= 308 &&
                            response.status != 304 && response.status != 305;
    if (redirected && (request.method == "GET" || request.method == "HEAD")) {
      if (++redirects > max_redirects)
        throw Error(ErrorKind::failed,
                    fmt::format("'{}' redirects in circles", url_origin(request.url)));
      follow(request, response);
      continue;
    }
    if (is_transient_status(response.status)) {
      if (retry.again(retry_after(response))) continue;
      throw Error(ErrorKind::unreachable,
                  fmt::format("'{}' answered {} {} times in {}", url_origin(request.url),
                              response.status, retry.attempt(), format_duration(retry.elapsed())))
          .with_hint("the server is overloaded or broken; try again later");
    }
    return response;
  }
}

} // namespace mlp::net
