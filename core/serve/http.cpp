// Heads of responses and small rules of HTTP. Source: RFC 9110 and RFC 9112.
#include "core/serve/http.hpp"

#include "core/serve/json_text.hpp"
#include "core/serve/v2.hpp"

#include <algorithm>
#include <ctime>
#include <iterator>

namespace mlp::serve {

namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

void append_two_digits(std::string& out, int value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

// "Sun, 06 Nov 1994 08:49:37 GMT", made once a second.
const std::string& http_date() {
  thread_local std::time_t made_at = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now == made_at && !text.empty()) return text;
  constexpr std::string_view days = "SunMonTueWedThuFriSat";
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  text = days.substr(static_cast<std::size_t>(utc.tm_wday) * 3, 3);
  text += ", ";
  append_two_digits(text, utc.tm_mday);
  text += ' ';
  text += months.substr(static_cast<std::size_t>(utc.tm_mon) * 3, 3);
  text += ' ';
  append_json_number(text, utc.tm_year + 1900);
  text += ' ';
  append_two_digits(text, utc.tm_hour);
  text += ':';
  append_two_digits(text, utc.tm_min);
  text += ':';
  append_two_digits(text, utc.tm_sec);
  text += " GMT";
  made_at = now;
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

} // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view HttpRequest::header(std::string_view name) const noexcept {
  for (const HttpHeader& h : headers)
    if (equal_ignoring_case(h.name, name)) return h.value;
  return {};
}

std::string_view HttpRequest::path() const noexcept {
  return std::string_view(target).substr(0, target.find('?'));
}

HttpResponse error_response(int status, std::string_view message) {
  HttpResponse response{.status = status, .body = {}};
  append_error(response.body, message);
  return response;
}

std::string_view status_reason(int status) noexcept {
  switch (status) {
  case 200:
    return "OK";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 408:
    return "Request Timeout";
  case 413:
    return "Content Too Large";
  case 415:
    return "Unsupported Media Type";
  case 417:
    return "Expectation Failed";
  case 431:
    return "Request Header Fields Too Large";
  case 500:
    return "Internal Server Error";
  case 501:
    return "Not Implemented";
  case 503:
    return "Service Unavailable";
  case 505:
    return "HTTP Version Not Supported";
  default:
    return "Unknown";
  }
}

void append_response_head(std::string& out, const HttpResponse& response,
                          const HttpRequest& request, bool keep_alive) {
  out += "HTTP/1.1 ";
  append_json_number(out, response.status);
  out += ' ';
  out += status_reason(response.status);
  out += "\r\n";
  append_header(out, "Server", "mlp");
  append_header(out, "Date", http_date());
  append_header(out, "Content-Type", response.content_type);
  out += "Content-Length: ";
  append_json_number(out, response.body.size());
  out += "\r\n";
  for (const HttpHeader& header : response.headers)
    append_header(out, header.name, header.value);
  if (!keep_alive)
    append_header(out, "Connection", "close");
  else if (request.minor == 0)
    append_header(out, "Connection", "keep-alive");
  out += "\r\n";
}

bool percent_decode(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return false;
    out += c;
  }
  return true;
}

HttpReply::~HttpReply() {
  if (sink_) send(error_response(500, "the request was dropped"));
}

void HttpReply::send(HttpResponse response) noexcept {
  if (const auto sink = std::move(sink_)) sink->send(std::move(response));
}

} // namespace mlp::serve
