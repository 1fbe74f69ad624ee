// One attempt after another, each with the header that its address may see.
#include "core/image/registry_http.hpp"

#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::image {

namespace {

constexpr unsigned most_redirects = 5;

// The certificates that this host may have, if there are any; else what the options say.
fs::path ca_file_of(const std::string& host, const RegistryOptions& options) {
  for (const fs::path& folder : options.certificate_folders) {
    std::error_code code;
    const fs::path own = folder / host;
    if (fs::exists(own / "ca.crt", code)) return own / "ca.crt";
    std::vector<fs::path> others;
    for (const auto& entry : fs::directory_iterator(own, code))
      if (entry.path().extension() == ".crt") others.push_back(entry.path());
    if (!others.empty()) return *std::ranges::min_element(others);
  }
  return options.http.ca_file;
}

std::string host_of(std::string_view origin) {
  const auto scheme = origin.find("://");
  return std::string(scheme == std::string_view::npos ? origin : origin.substr(scheme + 3));
}

// The same server, though one of the two may name the port that its scheme has anyway.
bool is_same_origin(std::string_view a, std::string_view b) {
  const auto bare = [](std::string_view origin) {
    const std::string_view port = origin.starts_with("https:") ? ":443" : ":80";
    return origin.ends_with(port) ? origin.substr(0, origin.size() - port.size()) : origin;
  };
  return bare(a) == bare(b);
}

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// The first error of an answer's body.
struct Told {
  std::string code, message;
};
Told first_error(const net::HttpResponse& response) {
  try {
    const Json json = parse_json(response.body, "answer");
    const Json& error = json.at("errors").at(0);
    Told out;
    if (const auto code = error.find("code"); code != error.end() && code->is_string())
      out.code = code->get<std::string>();
    if (const auto text = error.find("message"); text != error.end() && text->is_string())
      out.message = text->get<std::string>().substr(0, 300);
    return out;
  } catch (const std::exception&) { // no answer of a registry: a proxy's page, or nothing
    return {};
  }
}

} // namespace

std::vector<fs::path> RegistryOptions::default_certificate_folders() {
  std::vector<fs::path> out;
  const std::string home = get_env("HOME").value_or("");
  if (!home.empty()) out.push_back(fs::path(home) / ".config" / "containers" / "certs.d");
  out.emplace_back("/etc/containers/certs.d");
  out.emplace_back("/etc/docker/certs.d");
  return out;
}

std::string registry_error_code(const net::HttpResponse& response) {
  return first_error(response).code;
}

RegistryHttp::RegistryHttp(std::string host, RegistryOptions options)
    : host_(std::move(host)), options_(std::move(options)) {}

net::HttpClient& RegistryHttp::client(const std::string& origin) {
  const std::string host = host_of(origin);
  const std::lock_guard lock(mutex_);
  std::unique_ptr<net::HttpClient>& found = clients_[host];
  if (!found) {
    net::HttpOptions http = options_.http;
    http.ca_file = ca_file_of(host, options_);
    http.retry.attempts = 1; // attempts are counted here
    found = std::make_unique<net::HttpClient>(std::move(http));
  }
  return *found;
}

std::string RegistryHttp::find_base() {
  // The name that images of Docker Hub have is not its address.
  const std::string host = host_ == "docker.io" ? "registry-1.docker.io" : host_;
  if (options_.plain_http) return "http://" + host;
  if (!is_loopback(host)) return "https://" + host;
  const std::string plain = "http://" + host, tls = "https://" + host;
  const auto ask = [&](const std::string& origin) {
    return client(plain).send({.url = origin + "/v2/", .no_proxy = true});
  };
  // A server of TLS answers a request in the clear with 400, or not at all.
  for (net::Retry retry(options_.http.retry, options_.http.stop);;) {
    net::HttpResponse response = ask(plain);
    if (response.status == 400) return tls;
    if (!response.failure) return plain;
    const net::HttpResponse other = ask(tls);
    if (!other.failure || !other.transient) return tls; // its certificate is judged later
    if (!response.transient || !retry.again()) throw *std::move(response.failure);
  }
}

const std::string& RegistryHttp::base() {
  {
    const std::lock_guard lock(mutex_);
    if (!base_.empty()) return base_;
  }
  std::string found = find_base();
  const std::lock_guard lock(mutex_);
  if (!base_.empty()) return base_;
  base_ = std::move(found);
  auth_ = std::make_unique<RegistryAuth>(RegistryAuth::Options{
      .host = host_,
      .credential_files = options_.credential_files,
      .is_private = base_.starts_with("https://") || is_loopback(host_of(base_)),
      .send = [this](net::HttpRequest request) {
        // The token server itself is asked without a token.
        net::HttpClient& to = client(net::url_origin(request.url));
        request.no_proxy = is_loopback(host_of(net::url_origin(request.url)));
        for (net::Retry retry(options_.http.retry, options_.http.stop);;) {
          net::HttpResponse response = to.send(request);
          if (response.failure && !response.transient) throw *std::move(response.failure);
          const bool passing = response.failure || net::is_transient_status(response.status);
          if (!passing || !retry.again(net::retry_after(response))) {
            if (response.failure) throw *std::move(response.failure);
            return response;
          }
        }
      }});
  return base_;
}

std::string RegistryHttp::resolve(const std::string& from, const std::string& location) const {
  const std::string origin = net::url_origin(from);
  std::string target;
  if (location.starts_with("//")) {
    target = from.substr(0, from.find("//")) + location;
  } else if (location.starts_with("/")) {
    target = origin + location;
  } else if (location.starts_with("http://") || location.starts_with("https://")) {
    target = location;
  } else {
    const std::string path = from.substr(0, from.find_first_of("?#"));
    target = path.substr(0, path.rfind('/') + 1) + location;
  }
  const bool safe = target.starts_with("https://") ||
                    (from.starts_with("http://") && target.starts_with("http://"));
  if (!safe)
    throw Error(ErrorKind::denied, fmt::format("'{}' leads to '{}', which is not as safe", origin,
                                               printable(net::url_origin(target))));
  return target;
}

net::HttpResponse RegistryHttp::send(net::HttpRequest request, const Scope& scope, Repeat repeat,
                                     const std::function<void()>& restart) {
  const std::string own = base();
  net::RetryPolicy policy = options_.http.retry;
  if (repeat == Repeat::no) policy.attempts = 1;
  unsigned refusals = 0; // since the last pause
  unsigned redirects = 0;
  for (net::Retry retry(policy, options_.http.stop);;) {
    if (restart) restart();
    const std::string origin = net::url_origin(request.url);
    net::HttpRequest attempt = request;
    attempt.no_proxy = is_loopback(host_of(origin));
    const bool at_home = is_same_origin(origin, own);
    const std::string authorization = at_home ? auth_->authorization(scope) : std::string();
    if (!authorization.empty()) attempt.headers.emplace_back("Authorization", authorization);
    net::HttpResponse response = client(origin).send(attempt);
    if (response.failure) {
      if (!response.transient || !retry.again()) throw *std::move(response.failure);
      refusals = 0; // a token may have expired while we waited
      continue;
    }
    // Once to learn how to ask, once because a token that was kept has expired.
    if (response.status == 401 && at_home && refusals++ < 2 &&
        auth_->challenged(response, scope, authorization))
      continue;
    const std::string* const location = response.header("location");
    if (is_redirect(response.status) && location != nullptr &&
        (request.method == "GET" || request.method == "HEAD")) {
      if (++redirects > most_redirects)
        throw Error(ErrorKind::failed, fmt::format("'{}' redirects in circles", own));
      request.url = resolve(request.url, *location);
      continue;
    }
    if (net::is_transient_status(response.status)) {
      if (retry.again(net::retry_after(response))) continue;
      throw Error(
          ErrorKind::unreachable,
          fmt::format("'{}' answered {} {} in {}", origin, response.status,
                      retry.attempt() == 1 ? "once" : fmt::format("{} times", retry.attempt()),
                      format_duration(retry.elapsed())))
          .with_hint("the registry is overloaded or broken; try again later: what was moved is "
                     "kept");
    }
    return response;
  }
}

Error RegistryHttp::error(const net::HttpResponse& response, std::string_view doing) {
  const Told told = first_error(response);
  const std::string reason = told.message.empty()
                                 ? fmt::format("it answered {}", response.status)
                                 : fmt::format("{} ({})", printable(told.message), response.status);
  ErrorKind kind = ErrorKind::failed;
  if (response.status == 401 || response.status == 403) kind = ErrorKind::denied;
  if (response.status == 404) kind = ErrorKind::not_found;
  if (told.code == "DIGEST_INVALID" || told.code == "SIZE_INVALID") kind = ErrorKind::integrity;
  Error out(kind, fmt::format("{}: '{}' says: {}", doing, host_, reason));
  if (kind == ErrorKind::denied) out.add_hint(auth_->hint());
  return out;
}

} // namespace mlp::image
