// One thread, one io_context. A connection is a small state machine around HttpParser: it reads a
// request, hands it over, writes the answer, and does one thing at a time, which makes pipelining
// safe by itself. Time limits are deadlines that a ticker looks at, not a timer for each operation.
#include "core/serve/http_server.hpp"

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/serve/http_parser.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <list>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace mlp::serve {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using ErrorCode = boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr auto tick = milliseconds(100);
constexpr auto linger_time = milliseconds(1000);
constexpr auto last_chance = milliseconds(150);  // for an idle connection after stop()
constexpr auto refuse_time = milliseconds(2000); // for one that is told 503
constexpr auto accept_pause = milliseconds(100); // after the process ran out of descriptors
constexpr int max_refusing = 64;                 // connections that are being told 503
constexpr std::size_t body_buffer = 128u << 10;  // to read large bodies
constexpr std::uint64_t bytes_per_ms = 16;       // the slowest client that is waited for

milliseconds time_for(milliseconds base, std::uint64_t bytes) {
  return base + milliseconds(static_cast<std::int64_t>(bytes / bytes_per_ms));
}

} // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  Impl(HttpServerOptions given, HttpHandler& answers, ServerCounters& counts)
      : options(std::move(given)), handler(answers), counters(counts) {
    if (options.max_buffered == 0)
      options.max_buffered = std::max<std::uint64_t>(4 * options.max_body, 256u << 20);
  }

  struct Listener {
    explicit Listener(asio::io_context& io) : acceptor(io), pause(io) {}
    tcp::acceptor acceptor;
    asio::steady_timer pause; // before the next accept, when descriptors have run out
  };

  void listen();
  void accept(Listener& listener);
  void on_accept(Listener& listener, const ErrorCode& error, tcp::socket socket);
  void add(tcp::socket socket);
  void start_ticker();
  void on_tick();
  void begin_stop();
  void finish();

  HttpServerOptions options;
  HttpHandler& handler;
  ServerCounters& counters;
  asio::io_context io{1};
  std::list<Listener> listeners; // never move: handlers refer to them
  tcp::endpoint bound;           // the first of them
  asio::steady_timer ticker{io};
  bool ticking = false;
  bool stopping = false;
  Clock::time_point grace_end{};
  Clock::time_point warned_at{};
  std::uint64_t buffered = 0; // bytes of bodies in memory
  int refusing = 0;
  std::list<std::shared_ptr<Connection>> connections;

  std::mutex post_mutex; // of `closed`, which says that nothing may be posted any more
  bool closed = false;
};

class HttpServer::Connection : public HttpReplySink,
                               public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Impl> server, tcp::socket socket, bool refused)
      : server_(std::move(server)), socket_(std::move(socket)), refused_(refused),
        parser_({server_->options.max_header, server_->options.max_body}),
        in_(server_->options.max_header + (8u << 10)) {}

  void start() {
    become_idle();
    read();
  }

  void send(HttpResponse response) noexcept override;
  void on_tick(Clock::time_point now);
  // From Impl: the server stops.
  void on_stop(Clock::time_point now) {
    if (state_ == State::idle) deadline_ = std::min(deadline_, now + last_chance);
  }
  void close();

  std::list<std::shared_ptr<Connection>>::iterator position;

 private:
  // idle: no byte of the next request yet. draining: the answer is sent, and what the client still
  // sends is thrown away, so that a reset does not take the answer from it.
  enum class State { idle, head, body, handling, writing, draining, closed };

  void become_idle() {
    state_ = State::idle;
    deadline_ = Clock::now() + (refused_ ? refuse_time : server_->options.idle_timeout);
  }
  void read();
  void on_read(const ErrorCode& error, std::size_t size);
  void process();
  bool on_head();
  bool account_body();
  void hand_over();
  void refuse(int status, std::string_view message);
  void respond(HttpResponse response);
  void write();
  void on_written(const ErrorCode& error);
  void drain();

  std::shared_ptr<Impl> server_; // first: the socket needs its io_context to the end
  tcp::socket socket_;
  const bool refused_;
  HttpParser parser_;
  std::vector<char> in_;
  std::size_t in_begin_ = 0, in_end_ = 0;
  State state_ = State::idle;
  Clock::time_point deadline_{}, began_{};
  bool timed_out_ = false;
  bool keep_alive_ = false;
  bool unread_ = false; // the client may still be sending
  std::uint64_t accounted_ = 0;
  std::size_t written_ = 0; // of head_ and the response's body
  HttpRequest current_;     // without its body
  HttpResponse response_;
  std::string head_;
};

void HttpServer::Connection::read() {
  if (in_begin_ == in_end_) {
    in_begin_ = in_end_ = 0;
  } else if (in_end_ == in_.size()) {
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(in_begin_), in_.end(), in_.begin());
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  if (state_ == State::body && parser_.body_size() > body_buffer / 2 && in_.size() < body_buffer)
    in_.resize(body_buffer);
  socket_.async_read_some(asio::buffer(in_.data() + in_end_, in_.size() - in_end_),
                          [self = shared_from_this()](const ErrorCode& error, std::size_t size) {
                            self->on_read(error, size);
                          });
}

void HttpServer::Connection::on_read(const ErrorCode& error, std::size_t size) {
  if (state_ == State::closed) return;
  if (timed_out_) return refuse(408, "the request took too long to arrive");
  if (error) return close();
  in_end_ += size;
  process();
}

// Offers what has been read to the parser, until it needs more or has a request.
void HttpServer::Connection::process() {
  while (true) {
    const std::size_t offered = in_end_ - in_begin_;
    const std::size_t taken = parser_.feed({in_.data() + in_begin_, offered});
    in_begin_ += taken;
    if (state_ == State::idle && parser_.started()) {
      state_ = State::head;
      began_ = Clock::now();
      deadline_ = began_ + (refused_ ? refuse_time : server_->options.head_timeout);
    }
    switch (parser_.state()) {
    case HttpParser::State::need_more:
      return read();
    case HttpParser::State::failed:
      return refuse(parser_.status(), parser_.message());
    case HttpParser::State::body:
      if (state_ == State::head && !on_head()) return;
      if (!account_body()) return;
      if (taken == 0 || in_begin_ == in_end_) return read();
      break;
    case HttpParser::State::done:
      if (account_body()) hand_over();
      return;
    }
  }
}

// False if the connection has gone another way.
bool HttpServer::Connection::on_head() {
  state_ = State::body;
  began_ = Clock::now();
  deadline_ = began_ + server_->options.body_timeout;
  if (refused_) {
    hand_over();
    return false;
  }
  if (parser_.unknown_expectation()) {
    refuse(417, "the only expectation that is known here is 100-continue");
    return false;
  }
  if (!parser_.expects_continue() || in_begin_ != in_end_) return true;
  static constexpr std::string_view answer = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(socket_, asio::buffer(answer.data(), answer.size()),
                    [self = shared_from_this()](const ErrorCode& error, std::size_t) {
                      if (self->state_ == State::closed) return;
                      if (error) return self->close();
                      self->read();
                    });
  return false;
}

bool HttpServer::Connection::account_body() {
  const std::uint64_t size = parser_.body_size();
  server_->buffered += size - accounted_;
  accounted_ = size;
  if (state_ == State::body) deadline_ = began_ + time_for(server_->options.body_timeout, size);
  if (server_->buffered <= server_->options.max_buffered) return true;
  refuse(503, "the requests that are being received take too much memory");
  return false;
}

void HttpServer::Connection::hand_over() {
  if (refused_) {
    server_->counters.connections_refused.fetch_add(1, std::memory_order_relaxed);
    return refuse(503, "too many connections are open");
  }
  HttpRequest request = parser_.take();
  current_.method = request.method;
  current_.target = server_->options.access_log ? request.target : std::string();
  current_.minor = request.minor;
  keep_alive_ = request.keep_alive;
  began_ = request.received;
  state_ = State::handling;
  deadline_ = Clock::time_point::max();
  if (in_.size() >= body_buffer && in_end_ - in_begin_ == 0) {
    in_begin_ = in_end_ = 0;
    std::vector<char>(server_->options.max_header + (8u << 10)).swap(in_);
  }
  try {
    server_->handler.handle(std::move(request), HttpReply(shared_from_this()));
  } catch (const std::exception& error) {
    log_warning(fmt::format("a request failed: {}", error.what())); // its reply is dropped: 500
  }
}

// Answers without the handler; the connection ends with it.
void HttpServer::Connection::refuse(int status, std::string_view message) {
  keep_alive_ = false;
  unread_ = true;
  HttpResponse response = error_response(status, message);
  if (status == 503) response.headers.push_back({"Retry-After", "1"});
  if (current_.method.empty()) current_.method = "-";
  respond(std::move(response));
}

void HttpServer::Connection::send(HttpResponse response) noexcept {
  try {
    if (server_->io.get_executor().running_in_this_thread()) {
      if (state_ == State::handling) respond(std::move(response));
      return;
    }
    const std::lock_guard lock(server_->post_mutex);
    if (server_->closed) return;
    asio::post(server_->io, [self = shared_from_this(), answer = std::move(response)]() mutable {
      if (self->state_ == State::handling) self->respond(std::move(answer));
    });
  } catch (const std::exception&) {
    // No memory for the answer. A socket is not thread-safe, so the io thread must close it; the
    // ticker does when the grace period or the client ends it.
  }
}

void HttpServer::Connection::respond(HttpResponse response) {
  state_ = State::writing;
  response_ = std::move(response);
  keep_alive_ = keep_alive_ && !server_->stopping;
  head_.clear();
  append_response_head(head_, response_, current_, keep_alive_);
  const auto status_class = static_cast<std::size_t>(response_.status / 100);
  server_->counters.responses[std::min<std::size_t>(status_class, 5)].fetch_add(
      1, std::memory_order_relaxed);
  if (current_.method == "HEAD") response_.body.clear(); // after its length has been written
  written_ = 0;
  write();
}

// Each headway buys the client more time.
void HttpServer::Connection::write() {
  deadline_ = Clock::now() + server_->options.body_timeout;
  const std::size_t of_head = std::min(written_, head_.size());
  const std::size_t of_body = written_ - of_head;
  const std::array<asio::const_buffer, 2> buffers = {
      asio::buffer(head_.data() + of_head, head_.size() - of_head),
      asio::buffer(response_.body.data() + of_body, response_.body.size() - of_body)};
  socket_.async_write_some(
      buffers, [self = shared_from_this()](const ErrorCode& error, std::size_t size) {
        if (self->state_ == State::closed) return;
        self->written_ += size;
        if (!error && self->written_ < self->head_.size() + self->response_.body.size())
          self->write();
        else
          self->on_written(error);
      });
}

void HttpServer::Connection::on_written(const ErrorCode& error) {
  if (server_->options.access_log) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began_);
    log_info(fmt::format("{} {} {} {} B {:.1f} ms", current_.method, printable(current_.target),
                         response_.status, response_.body.size(),
                         static_cast<double>(us.count()) / 1000));
  }
  server_->buffered -= std::exchange(accounted_, 0);
  response_ = {};
  current_.method.clear();
  if (error) return close();
  if (!keep_alive_) return unread_ || in_begin_ != in_end_ ? drain() : close();
  become_idle();
  if (server_->stopping) on_stop(Clock::now());
  if (in_begin_ != in_end_)
    process();
  else
    read();
}

void HttpServer::Connection::drain() {
  if (state_ != State::draining) {
    state_ = State::draining;
    deadline_ = Clock::now() + linger_time;
    ErrorCode ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }
  socket_.async_read_some(asio::buffer(in_),
                          [self = shared_from_this()](const ErrorCode& error, std::size_t) {
                            if (self->state_ == State::closed) return;
                            if (error) return self->close();
                            self->drain();
                          });
}

void HttpServer::Connection::on_tick(Clock::time_point now) {
  if (now < deadline_) return;
  if (state_ == State::head || state_ == State::body) {
    timed_out_ = true; // the read that is pending ends, and says so
    deadline_ = Clock::time_point::max();
    ErrorCode ignored;
    socket_.cancel(ignored);
    return;
  }
  close();
}

void HttpServer::Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  server_->buffered -= std::exchange(accounted_, 0);
  if (refused_) --server_->refusing;
  server_->counters.connections.fetch_sub(1, std::memory_order_relaxed);
  ErrorCode ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  const auto self = shared_from_this(); // the list may hold the last one
  server_->connections.erase(position);
}

void HttpServer::Impl::listen() {
  std::string host = options.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  ErrorCode error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(
      host, std::to_string(options.port),
      tcp::resolver::flags::passive | tcp::resolver::flags::numeric_service, error);
  if (error || found.empty())
    throw Error(ErrorKind::usage,
                fmt::format("cannot listen on '{}': {}", printable(options.host), error.message()))
        .with_hint("give an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::");
  std::optional<ErrorCode> failure;
  for (const auto& entry : found) {
    tcp::endpoint endpoint = entry.endpoint();
    if (!listeners.empty()) endpoint.port(bound.port());
    Listener& listener = listeners.emplace_back(io);
    tcp::acceptor& acceptor = listener.acceptor;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6())
      acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      if (!failure) failure = error;
      listeners.pop_back();
    } else if (listeners.size() == 1) {
      bound = acceptor.local_endpoint();
    }
  }
  if (!listeners.empty()) return; // of a name with two addresses, one is enough
  const int code = failure->value();
  const auto kind = code == EADDRINUSE                ? ErrorKind::conflict
                    : code == EACCES || code == EPERM ? ErrorKind::denied
                                                      : ErrorKind::usage;
  throw Error(kind, fmt::format("cannot listen on '{}' port {}: {}", printable(options.host),
                                options.port, failure->message()))
      .with_hint(code == EADDRINUSE ? "choose another port with --port, or --port 0 for a free one"
                 : code == EACCES   ? "ports below 1024 need privileges"
                                    : "give an address of this machine");
}

void HttpServer::Impl::accept(Listener& listener) {
  listener.acceptor.async_accept(
      [self = shared_from_this(), &listener](const ErrorCode& error, tcp::socket socket) {
        self->on_accept(listener, error, std::move(socket));
      });
}

void HttpServer::Impl::on_accept(Listener& listener, const ErrorCode& error, tcp::socket socket) {
  if (!listener.acceptor.is_open()) return;
  if (!error) {
    add(std::move(socket));
    return accept(listener);
  }
  if (error == asio::error::connection_aborted || error == asio::error::interrupted)
    return accept(listener);
  // Out of descriptors or memory: the connection stays in the kernel's queue, and trying at once
  // would only spin.
  const auto now = Clock::now();
  if (now - warned_at > std::chrono::seconds(10)) {
    warned_at = now;
    log_warning(fmt::format("cannot accept a connection: {}", error.message()));
  }
  listener.pause.expires_after(accept_pause);
  listener.pause.async_wait([self = shared_from_this(), &listener](const ErrorCode& cancelled) {
    if (!cancelled && listener.acceptor.is_open()) self->accept(listener);
  });
}

void HttpServer::Impl::add(tcp::socket socket) {
  const int open = static_cast<int>(connections.size()) - refusing;
  const bool refused = open >= options.max_connections;
  if (refused && refusing >= max_refusing) {
    counters.connections_refused.fetch_add(1, std::memory_order_relaxed);
    return; // the socket closes
  }
  ErrorCode ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  auto connection = std::make_shared<Connection>(shared_from_this(), std::move(socket), refused);
  connections.push_back(connection);
  connection->position = std::prev(connections.end());
  if (refused) ++refusing;
  counters.connections.fetch_add(1, std::memory_order_relaxed);
  connection->start();
  if (stopping) connection->on_stop(Clock::now());
  start_ticker();
}

void HttpServer::Impl::start_ticker() {
  if (ticking || connections.empty()) return;
  ticking = true;
  ticker.expires_after(tick);
  ticker.async_wait([self = shared_from_this()](const ErrorCode&) { self->on_tick(); });
}

void HttpServer::Impl::on_tick() {
  ticking = false;
  const auto now = Clock::now();
  const bool give_up = stopping && now >= grace_end;
  for (auto it = connections.begin(); it != connections.end();) {
    const auto connection = *it++; // on_tick may remove it
    if (give_up)
      connection->close();
    else
      connection->on_tick(now);
  }
  start_ticker();
}

void HttpServer::Impl::begin_stop() {
  if (stopping) return;
  stopping = true;
  const auto now = Clock::now();
  grace_end = now + options.grace;
  for (const auto& connection : connections)
    connection->on_stop(now);
  for (Listener& listener : listeners) {
    tcp::acceptor& acceptor = listener.acceptor;
    // Clients whose connection the kernel has already accepted believe that they are served.
    ErrorCode error;
    acceptor.non_blocking(true, error);
    for (int i = 0; i < options.max_connections && !error; ++i) {
      tcp::socket socket(io);
      acceptor.accept(socket, error);
      if (!error) add(std::move(socket));
    }
    acceptor.close(error);
    listener.pause.cancel();
  }
}

// After run(): connections refer to us, and we to them.
void HttpServer::Impl::finish() {
  {
    const std::lock_guard lock(post_mutex);
    closed = true;
  }
  while (!connections.empty())
    connections.front()->close();
  for (Listener& listener : listeners) {
    ErrorCode ignored;
    listener.acceptor.close(ignored);
    listener.pause.cancel();
  }
  ticker.cancel();
  io.restart();
  io.poll(); // handlers of what has been cancelled, and answers that came too late
}

HttpServer::HttpServer(HttpServerOptions options, HttpHandler& handler, ServerCounters& counters)
    : impl_(std::make_shared<Impl>(std::move(options), handler, counters)) {
  impl_->listen();
}

HttpServer::~HttpServer() {
  impl_->finish();
}

std::uint16_t HttpServer::port() const noexcept {
  return impl_->bound.port();
}

std::string HttpServer::url() const {
  const std::string address = impl_->bound.address().to_string();
  return fmt::format("http://{}:{}", impl_->bound.address().is_v6() ? "[" + address + "]" : address,
                     port());
}

void HttpServer::run() {
  for (Impl::Listener& listener : impl_->listeners)
    impl_->accept(listener);
  impl_->io.run();
  impl_->finish();
}

void HttpServer::stop() noexcept {
  try {
    const std::lock_guard lock(impl_->post_mutex);
    if (impl_->closed) return;
    asio::post(impl_->io, [impl = impl_] { impl->begin_stop(); });
  } catch (const std::exception&) {
    impl_->io.stop(); // no memory to stop gently
  }
}

} // namespace mlp::serve
