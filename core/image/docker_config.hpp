// Users and passwords of registries, where `docker login` and `podman login` keep them: in files,
// and in the credential helpers that these name.
// Sources: the reference of Docker's command line, "docker login"; containers-auth.json(5).
#pragma once

#include "core/base/fs.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

struct Credentials {
  std::string user, password;
  std::string identity_token; // of OAuth 2, in place of a password
};

// The files to look into, the first that knows a host counts: $REGISTRY_AUTH_FILE alone if it is
// set, else $XDG_RUNTIME_DIR/containers/auth.json, then $DOCKER_CONFIG/config.json or
// ~/.docker/config.json.
[[nodiscard]] std::vector<fs::path> credential_files();

// Those for "HOST[:PORT]/REPOSITORY"; nullopt if nobody has logged in. May start a credential
// helper, and then blocks for at most 30 s. Throws Error: config for a file that is wrong, failed
// for a helper that is; neither holds a secret.
[[nodiscard]] std::optional<Credentials> find_credentials(const std::vector<fs::path>& files,
                                                          std::string_view host,
                                                          std::string_view repository);

// What `docker-credential-NAME get` answers for a server; nullopt if it has nothing. The server's
// name goes by standard input. Throws Error(failed), Error(config) for a name that is none,
// Error(not_found) if there is no such program.
[[nodiscard]] std::optional<Credentials>
ask_credential_helper(std::string_view name, std::string_view server,
                      std::chrono::milliseconds timeout = std::chrono::seconds(30));

// RFC 4648. nullopt for what is no base64.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);
[[nodiscard]] std::string encode_base64(std::string_view bytes);

} // namespace mlp::image
