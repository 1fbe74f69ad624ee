// Each transfer runs on a libcurl handle of its own, borrowed from a pool so that its connection is
// used again. The loop is ours (curl_multi), for the sake of the stall clock and of the stop token.
#include "core/net/http.hpp"

#include "core/base/interrupt.hpp"
#include "core/base/library.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>

// libcurl has macros of these names.
#undef curl_easy_setopt
#undef curl_easy_getinfo

namespace mlp::net {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t max_header_bytes = 256 * 1024;
constexpr long buffer_bytes = 256 * 1024;
constexpr std::uint64_t small_body = 1u << 20;
constexpr std::size_t idle_limit = 32;

// Only what is called, with the types of the header that it was compiled against.
struct Curl {
  Library library{{"libcurl.so.4", "libcurl-gnutls.so.4"}, "libcurl4"};
#define MLP_CURL(name)                                                                             \
  decltype(::curl_##name)* name = library.function<decltype(::curl_##name)>("curl_" #name)
  MLP_CURL(global_init);
  MLP_CURL(slist_append);
  MLP_CURL(slist_free_all);
  MLP_CURL(easy_init);
  MLP_CURL(easy_cleanup);
  MLP_CURL(easy_reset);
  MLP_CURL(easy_setopt);
  MLP_CURL(easy_getinfo);
  MLP_CURL(easy_strerror);
  MLP_CURL(multi_init);
  MLP_CURL(multi_cleanup);
  MLP_CURL(multi_add_handle);
  MLP_CURL(multi_remove_handle);
  MLP_CURL(multi_perform);
  MLP_CURL(multi_poll);
  MLP_CURL(multi_wakeup);
  MLP_CURL(multi_info_read);
  MLP_CURL(multi_strerror);
#undef MLP_CURL

  Curl() {
    if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
      throw Error(ErrorKind::failed, "cannot set up libcurl");
  }
};

const Curl& curl() {
  static const Curl loaded; // never unloaded; a failure is tried again
  return loaded;
}

struct Connection {
  CURL* easy = curl().easy_init();
  CURLM* multi = curl().multi_init();

  Connection() {
    if (easy == nullptr || multi == nullptr)
      throw Error(ErrorKind::failed, "cannot set up libcurl: out of memory");
  }
  Connection(Connection&&) = delete;
  ~Connection() {
    curl().easy_cleanup(easy);
    curl().multi_cleanup(multi);
  }
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// One request on its way. libcurl calls the static members; nothing may be thrown through it.
struct Transfer {
  const HttpRequest& request;
  HttpResponse response = {};
  std::uint64_t moved = 0; // bytes in either direction, for the stall clock
  std::uint64_t sent = 0;  // of the body
  std::size_t header_bytes = 0;
  bool enough = false;
  std::string complaint; // ours about the answer
  std::exception_ptr thrown;
  std::array<char, CURL_ERROR_SIZE> error_text = {};

  bool on_header(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > max_header_bytes) {
      complaint = "the headers of the answer are larger than 256 KiB";
      return false;
    }
    line = trim(line);
    if (line.starts_with("HTTP/")) { // a new answer: the one before was 100 or 103, or a proxy's
      response.headers.clear();
      response.status = 0;
      const auto space = line.find(' ');
      if (space != std::string_view::npos)
        for (const char c : line.substr(space + 1, 3))
          response.status = response.status * 10 + static_cast<unsigned>(c - '0') % 10;
      return true;
    }
    if (const auto colon = line.find(':'); colon != std::string_view::npos)
      response.headers.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
    return true;
  }

  bool on_body(std::span<const std::byte> data) {
    if (request.sink && response.ok()) {
      if (enough) return false;
      enough = !request.sink(response, data);
      return !enough;
    }
    // Of an answer that tells of an error the beginning is enough.
    const std::size_t room = request.max_body - std::min(request.max_body, response.body.size());
    if (data.size() > room && response.ok()) {
      complaint = fmt::format("the answer is larger than {}", format_bytes(request.max_body));
      return false;
    }
    response.body.append(reinterpret_cast<const char*>(data.data()), std::min(room, data.size()));
    return true;
  }

  template <class Body>
  std::size_t guarded(std::size_t failed, Body&& body) noexcept {
    try {
      return body();
    } catch (...) {
      thrown = std::current_exception();
      return failed;
    }
  }

  static std::size_t take_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::size_t n = size * count;
    transfer.moved += n;
    return transfer.guarded(0, [&] { return transfer.on_header({data, n}) ? n : 0; });
  }
  static std::size_t take_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::size_t n = size * count;
    transfer.moved += n;
    return transfer.guarded(
        n + 1, [&] { return transfer.on_body(std::as_bytes(std::span(data, n))) ? n : n + 1; });
  }
  static std::size_t give_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const HttpBody& body = *transfer.request.body;
    const auto n =
        static_cast<std::size_t>(std::min<std::uint64_t>(size * count, body.size - transfer.sent));
    if (n == 0) return 0;
    return transfer.guarded(CURL_READFUNC_ABORT, [&] {
      body.read(transfer.sent, std::as_writable_bytes(std::span(data, n)));
      transfer.sent += n;
      transfer.moved += n;
      return n;
    });
  }
  // A kept connection that turned out to be closed: libcurl begins anew on a fresh one.
  static int rewind(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Transfer*>(self)->sent = static_cast<std::uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
  }
};

struct HeaderList {
  curl_slist* list = nullptr;
  HeaderList() = default;
  HeaderList(HeaderList&&) = delete;
  ~HeaderList() { curl().slist_free_all(list); }
  void add(const std::string& line) {
    curl_slist* longer = curl().slist_append(list, line.c_str());
    if (longer == nullptr) throw Error(ErrorKind::failed, "out of memory");
    list = longer;
  }
};

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  if (const CURLcode code = curl().easy_setopt(easy, option, value);
      code != CURLE_OK && code != CURLE_UNKNOWN_OPTION)
    throw Error(ErrorKind::failed,
                fmt::format("cannot set up a request: {}", curl().easy_strerror(code)));
}

void set_method(CURL* easy, const HttpRequest& request) {
  const auto size = static_cast<curl_off_t>(request.body ? request.body->size : 0);
  if (request.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method == "PUT" || request.method == "PATCH") {
    set(easy, CURLOPT_UPLOAD, 1L);
    if (request.method == "PATCH") set(easy, CURLOPT_CUSTOMREQUEST, "PATCH");
    set(easy, CURLOPT_INFILESIZE_LARGE, size);
  } else if (request.method == "POST") {
    set(easy, CURLOPT_POST, 1L);
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, size);
  } else if (request.method != "GET") {
    set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

void set_up(CURL* easy, Transfer& transfer, HeaderList& headers, const HttpOptions& options) {
  const HttpRequest& request = transfer.request;
  for (const auto& [name, value] : request.headers) {
    if ((name + value).find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      throw Error(ErrorKind::failed, fmt::format("bad value of the header '{}'", printable(name)));
    headers.add(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  }
  // To ask whether a small body is welcome would take as long as to send it.
  if (request.body && request.body->size <= small_body) headers.add("Expect:");
  set(easy, CURLOPT_URL, request.url.c_str());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_PATH_AS_IS, 1L);
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_USERAGENT, "mlp");
  set(easy, CURLOPT_BUFFERSIZE, buffer_bytes);
  set(easy, CURLOPT_UPLOAD_BUFFERSIZE, buffer_bytes);
  set(easy, CURLOPT_HTTPHEADER, headers.list);
  set(easy, CURLOPT_ERRORBUFFER, transfer.error_text.data());
  set(easy, CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(request.connect_timeout.value_or(options.connect_timeout).count()));
  if (!options.ca_file.empty()) set(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  if (request.no_proxy) set(easy, CURLOPT_PROXY, "");
  if (request.netrc) set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
  set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(easy, CURLOPT_HEADERFUNCTION, &Transfer::take_header);
  set(easy, CURLOPT_HEADERDATA, &transfer);
  set(easy, CURLOPT_WRITEFUNCTION, &Transfer::take_body);
  set(easy, CURLOPT_WRITEDATA, &transfer);
  set(easy, CURLOPT_READFUNCTION, &Transfer::give_body);
  set(easy, CURLOPT_READDATA, &transfer);
  set(easy, CURLOPT_SEEKFUNCTION, &Transfer::rewind);
  set(easy, CURLOPT_SEEKDATA, &transfer);
  set_method(easy, request);
}

// Runs it to its end. Returns what libcurl says, or nullopt if it stalled.
std::optional<CURLcode> run(Connection& connection, Transfer& transfer,
                            const HttpOptions& options) {
  const milliseconds limit = transfer.request.stall_timeout.value_or(options.stall_timeout);
  const std::stop_token stop = transfer.request.unstoppable ? std::stop_token() : options.stop;
  const std::stop_callback wake(stop, [&] { curl().multi_wakeup(connection.multi); });
  auto since = Clock::now();
  std::uint64_t moved = 0;
  while (true) {
    int running = 0;
    if (const CURLMcode code = curl().multi_perform(connection.multi, &running); code != CURLM_OK)
      throw Error(ErrorKind::failed, fmt::format("libcurl: {}", curl().multi_strerror(code)));
    int queued = 0;
    while (const CURLMsg* message = curl().multi_info_read(connection.multi, &queued))
      if (message->msg == CURLMSG_DONE) return message->data.result;
    throw_if_stopped(stop);
    const auto now = Clock::now();
    if (transfer.moved - moved >= options.stall_bytes) {
      since = now;
      moved = transfer.moved;
    }
    const auto left = std::chrono::ceil<milliseconds>(since + limit - now);
    if (left.count() <= 0) return std::nullopt;
    curl().multi_poll(connection.multi, nullptr, 0,
                      static_cast<int>(std::min<milliseconds>(left, milliseconds(1000)).count()),
                      nullptr);
  }
}

bool may_pass(CURLcode code) {
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_COULDNT_CONNECT:
  case CURLE_OPERATION_TIMEDOUT:
  case CURLE_GOT_NOTHING:
  case CURLE_PARTIAL_FILE:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_WEIRD_SERVER_REPLY:
    return true;
  default:
    return false;
  }
}

Error failure_of(CURLcode code, const Transfer& transfer, const HttpOptions& options) {
  const std::string place = url_origin(transfer.request.url);
  const std::string reason = printable(trim(
      transfer.error_text[0] != '\0' ? transfer.error_text.data() : curl().easy_strerror(code)));
  switch (code) {
  case CURLE_PEER_FAILED_VERIFICATION:
    return Error(ErrorKind::unreachable, fmt::format("'{}' is not trusted: {}", place, reason))
        .with_hint("if its certificate is a private authority's, name that authority's file: mlp "
                   "config set net.ca_file FILE");
  case CURLE_SSL_CACERT_BADFILE:
    return Error(ErrorKind::config,
                 fmt::format("cannot read the certificates in '{}'", options.ca_file.native()))
        .with_hint("mlp config set net.ca_file FILE, or MLP_CA_FILE, names a file in PEM form");
  case CURLE_PARTIAL_FILE:
    return {ErrorKind::unreachable, fmt::format("'{}' sent less than it announced", place)};
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_CONNECT:
  case CURLE_OPERATION_TIMEDOUT:
    return Error(ErrorKind::unreachable, fmt::format("cannot reach '{}': {}", place, reason))
        .with_hint("check the address, the network, and that the server runs");
  default:
    return {ErrorKind::unreachable,
            fmt::format("the connection to '{}' failed: {}", place, reason)};
  }
}

} // namespace

struct HttpClient::State {
  HttpOptions options;
  std::mutex mutex; // over idle
  std::vector<std::unique_ptr<Connection>> idle;

  std::unique_ptr<Connection> borrow() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto connection = std::move(idle.back());
        idle.pop_back();
        return connection;
      }
    }
    return std::make_unique<Connection>();
  }
  void give_back(std::unique_ptr<Connection> connection) {
    curl().easy_reset(connection->easy);
    const std::lock_guard lock(mutex);
    if (idle.size() < idle_limit) idle.push_back(std::move(connection));
  }
};

HttpBody HttpBody::of(std::span<const std::byte> bytes) {
  return {bytes.size(), [bytes](std::uint64_t offset, std::span<std::byte> into) {
            std::ranges::copy(bytes.subspan(static_cast<std::size_t>(offset), into.size()),
                              into.begin());
          }};
}

const std::string* HttpResponse::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers)
    if (key == name) return &value;
  return nullptr;
}

HttpClient::HttpClient(HttpOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
}
HttpClient::~HttpClient() = default;

const HttpOptions& HttpClient::options() const noexcept {
  return state_->options;
}

HttpResponse HttpClient::send(const HttpRequest& request) {
  const HttpOptions& options = state_->options;
  if (!request.unstoppable) throw_if_stopped(options.stop);
  auto connection = state_->borrow();
  Transfer transfer{request};
  HeaderList headers;
  set_up(connection->easy, transfer, headers, options);
  if (curl().multi_add_handle(connection->multi, connection->easy) != CURLM_OK)
    throw Error(ErrorKind::failed, "cannot set up a request");
  struct Remove {
    const Connection& from;
    ~Remove() { curl().multi_remove_handle(from.multi, from.easy); }
  };
  std::optional<CURLcode> code;
  {
    const Remove remove{*connection};
    code = run(*connection, transfer, options);
  }
  HttpResponse response = std::move(transfer.response);
  if (code == CURLE_OK || transfer.enough) {
    state_->give_back(std::move(connection));
    return response;
  }
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  response.status = 0;
  if (!code) {
    response.failure =
        Error(ErrorKind::unreachable,
              fmt::format("'{}' neither sent nor took data for {}", url_origin(request.url),
                          format_duration(request.stall_timeout.value_or(options.stall_timeout))))
            .with_hint("the server may be overloaded; MLP_NET_TIMEOUT=2m waits longer");
    response.transient = true;
  } else if (!transfer.complaint.empty()) {
    response.failure = Error(ErrorKind::failed,
                             fmt::format("'{}': {}", url_origin(request.url), transfer.complaint));
  } else {
    response.failure = failure_of(*code, transfer, options);
    response.transient = may_pass(*code);
  }
  return response;
}

} // namespace mlp::net
