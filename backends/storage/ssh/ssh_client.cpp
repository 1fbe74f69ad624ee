// A lost connection is replaced by whoever needs it first; the others find the new one.
#include "backends/storage/ssh/ssh_client.hpp"

#include "core/base/log.hpp"

#include <fmt/format.h>

namespace mlp::storage {

std::shared_ptr<SshConnection> SshClient::current() {
  std::shared_ptr<SshConnection> lost; // ends after the lock
  const std::lock_guard lock(mutex_);
  if (!connection_ || connection_->failed()) {
    lost = std::exchange(connection_, nullptr);
    connection_ = std::make_shared<SshConnection>(place_, options_);
  }
  return connection_;
}

void SshClient::repeat(const Body& body) {
  net::Retry retry(options_.retry, options_.stop);
  while (true) {
    const std::shared_ptr<SshConnection> connection = current();
    try {
      connection->wait_ready();
      return body(connection);
    } catch (const Error& error) {
      if (!connection->failed_transiently() || !retry.again()) throw;
      log_info(fmt::format("connecting again: {}", error.message()));
    }
  }
}

std::shared_ptr<SshConnection> SshClient::connect() {
  std::shared_ptr<SshConnection> greeted;
  repeat([&](const auto& connection) { greeted = connection; });
  return greeted;
}

data::Bytes SshClient::ask(const WireRequest& request, std::span<std::byte> into,
                           std::size_t* filled) {
  data::Bytes answer;
  repeat([&](const auto& connection) {
    const auto call = connection->start(request, into);
    const std::size_t n = call->finish();
    if (filled != nullptr) *filled = n;
    answer = call->answer();
  });
  return answer;
}

data::Bytes SshClient::ask_once(const WireRequest& request) {
  const auto connection = connect();
  const auto call = connection->start(request);
  static_cast<void>(call->finish());
  return call->answer();
}

} // namespace mlp::storage
