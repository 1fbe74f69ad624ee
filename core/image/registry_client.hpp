// A registry of images: manifests, blobs, referrers and tags of its repositories.
// Source: OCI Distribution Specification 1.1.
#pragma once

#include "core/base/progress.hpp"
#include "core/image/layout.hpp"
#include "core/image/registry_http.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// A manifest or an index as a registry or a layout has it: the bytes that its digest is of.
struct Document {
  Descriptor descriptor;
  std::string text;
};

// Thread-safe: connections are kept and used again. All methods block, never without bound, and
// throw Error: not_found, denied, unreachable, failed, integrity where bytes do not have their
// digest, interrupted. A selector is a tag or the text of a digest.
class Registry {
 public:
  explicit Registry(const std::string& host, RegistryOptions options = {});

  [[nodiscard]] const std::string& host() const noexcept { return http_.host(); }

  // nullopt if there is none of that name.
  [[nodiscard]] std::optional<Document> manifest(const Scope& scope, const std::string& selector);
  // The digest that a tag has now, without the document; nullopt if there is none.
  [[nodiscard]] std::optional<Digest> manifest_digest(const Scope& scope,
                                                      const std::string& selector);
  // False if the registry lacks a blob, or a manifest, that this one needs. Makes the manifest
  // known as a referrer of its subject, also to registries without the referrers API.
  [[nodiscard]] bool put_manifest(const Scope& scope, const std::string& selector,
                                  const Document& document);

  [[nodiscard]] bool has_blob(const Scope& scope, const Descriptor& blob);
  // Into the layout, where it appears whole and checked. What an earlier attempt fetched, also of a
  // command that was killed, is not fetched again.
  void fetch_blob(const Scope& scope, const Descriptor& blob, Layout& layout, Progress& progress);
  // From another repository of the registry, without moving its bytes. False if the registry does
  // not agree: it need not know how, and the blob may not be there.
  [[nodiscard]] bool mount_blob(const Scope& scope, const Descriptor& blob,
                                const std::string& from);
  // Out of the layout. What an earlier attempt sent, also of a command that was killed, is not sent
  // again if the registry has kept it. For blobs that it lacks: has_blob() is the caller's
  // question.
  void push_blob(const Scope& scope, const Descriptor& blob, const Layout& layout,
                 Progress& progress);

  // Empty if there is none, or the registry cannot tell.
  [[nodiscard]] std::vector<Descriptor> referrers(const Scope& scope, const Digest& subject);
  // In the registry's order; at most 10,000.
  [[nodiscard]] std::vector<std::string> tags(const Scope& scope);

 private:
  struct Upload;
  [[nodiscard]] std::string url(const Scope& scope, std::string_view rest);
  void begin_upload(const Scope& scope, Upload& upload);
  [[nodiscard]] bool find_upload(const Scope& scope, Upload& upload);
  [[nodiscard]] net::HttpResponse send_part(const Scope& scope, Upload& upload, const File& file,
                                            const Descriptor& blob, Progress& progress);
  void add_to_fallback(const Scope& scope, const Digest& subject, const Descriptor& referrer);

  RegistryHttp http_;
};

} // namespace mlp::image
