// The user's secrets as commands see them, and their names for completion.
#include "cli/secrets.hpp"

#include "cli/completers.hpp"
#include "core/config/settings.hpp"

namespace mlp {

secret::SecretStore secret_store(Session& session) {
  return {secret::user_secrets_folder(), session.settings().get_string("secrets.key_command")};
}

std::vector<Candidate> complete_secrets(Session&) {
  std::vector<Candidate> out;
  for (const secret::SecretInfo& info :
       secret::SecretStore(secret::user_secrets_folder(), {}).list())
    out.push_back({info.name, "a secret"});
  return out;
}

} // namespace mlp
