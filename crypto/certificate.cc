#include <algorithm>

#include "base/limits.h"
#include "base/wire.h"
#include "crypto/key_material.h"

namespace bastion::crypto {
namespace {

std::unexpected<Error> malformed(std::string_view text) {
  return fail(ErrorCode::kMalformed, text);
}

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<std::vector<std::string>> parse_principals(ByteView encoded) {
  std::vector<std::string> principals;
  Reader reader(encoded);
  while (!reader.rest().empty()) {
    const std::string_view name = reader.text();
    if (!reader.ok() || has_nul(name)) {
      return malformed("a principal of a certificate is cut short or holds a NUL");
    }
    if (principals.size() == limits::kCertificatePrincipalsMax) {
      return fail(ErrorCode::kLimit, "a certificate has too many principals");
    }
    principals.emplace_back(name);
  }
  return principals;
}

/// parse_options takes the name-data pairs of PROTOCOL.certkeys. It says that they "must be
/// lexically ordered by 'name'" and unique; OpenSSH writes that and does not check it, we do: of
/// two with one name, somebody could read the other one.
Result<std::vector<CertificateOption>> parse_options(ByteView encoded) {
  std::vector<CertificateOption> options;
  Reader reader(encoded);
  while (!reader.rest().empty()) {
    const std::string_view name = reader.text();
    const ByteView data = reader.string();
    if (!reader.ok() || name.empty() || has_nul(name)) {
      return malformed("an option of a certificate is cut short or has a bad name");
    }
    if (!options.empty() && options.back().name >= name) {
      return malformed("the options of a certificate are not in order or not unique");
    }
    options.push_back({std::string(name), to_bytes(data)});
  }
  return options;
}

/// read_key takes the subject's fields, which stand in a certificate as in a blob of its plain
/// type.
Result<PublicKey> read_key(KeyType type, Reader& reader) {
  const ByteView from = reader.rest();
  for (std::size_t i = 0; i < num_key_fields(type); ++i) {
    reader.string();
  }
  if (!reader.ok()) {
    return malformed("a certificate is cut short");
  }
  Writer blob;
  blob.text(key_type_name(type)).bytes(from.first(from.size() - reader.rest().size()));
  return PublicKey::parse(blob.view());
}

Status sort_options(std::vector<CertificateOption>& options) {
  std::ranges::sort(options, {}, &CertificateOption::name);
  if (std::ranges::adjacent_find(options, {}, &CertificateOption::name) != options.end()) {
    return malformed("two options of a certificate have one name");
  }
  return {};
}

void write_options(const std::vector<CertificateOption>& options, Writer& out) {
  Writer encoded;
  for (const CertificateOption& option : options) {
    encoded.text(option.name).string(option.data);
  }
  out.string(encoded.view());
}

}  // namespace

bool is_certificate_blob(ByteView blob) {
  return find_certificate_type(Reader(blob).text()).has_value();
}

const CertificateOption* find_option(const std::vector<CertificateOption>& options,
                                     std::string_view name) {
  const auto found = std::ranges::find(options, name, &CertificateOption::name);
  return found == options.end() ? nullptr : &*found;
}

Result<std::string> parse_critical_option_string(ByteView data) {
  Reader reader(data);
  const std::string_view content = reader.text();
  if (!reader.done() || has_nul(content)) {
    return malformed("the content of a certificate's option is not one string");
  }
  return std::string(content);
}

Bytes make_option_string(std::string_view content) {
  Writer writer;
  writer.text(content);
  return writer.take();
}

Result<Certificate> Certificate::parse(ByteView blob) {
  if (blob.size() > limits::kKeyBlobBytesMax) {
    return fail(ErrorCode::kLimit, "a certificate is too long",
                static_cast<std::int64_t>(blob.size()));
  }
  Reader reader(blob);
  const auto key_type = find_certificate_type(reader.text());
  if (!reader.ok()) {
    return malformed("a certificate is cut short");
  }
  if (!key_type) {
    return fail(ErrorCode::kUnsupported, "this is not a certificate of a type that we speak");
  }
  reader.string();  // the nonce, which only the signature is about
  auto key = read_key(*key_type, reader);
  if (!key) {
    return std::unexpected(key.error());
  }
  Certificate certificate;
  certificate.key = *std::move(key);
  certificate.serial = reader.u64();
  const std::uint32_t type = reader.u32();
  certificate.key_id = reader.text();
  const ByteView principals = reader.string();
  certificate.valid_after = reader.u64();
  certificate.valid_before = reader.u64();
  const ByteView critical_options = reader.string();
  const ByteView extensions = reader.string();
  reader.string();  // reserved: PROTOCOL.certkeys says to ignore it
  const ByteView ca_blob = reader.string();
  certificate.signed_part = to_bytes(blob.first(blob.size() - reader.rest().size()));
  certificate.signature = to_bytes(reader.string());
  if (!reader.done()) {
    return malformed("a certificate is cut short or something trails it");
  }
  if (type != static_cast<std::uint32_t>(CertificateType::kUser) &&
      type != static_cast<std::uint32_t>(CertificateType::kHost)) {
    return malformed("a certificate is neither a user's nor a host's");
  }
  certificate.type = static_cast<CertificateType>(type);
  if (has_nul(certificate.key_id)) {
    return malformed("the key id of a certificate holds a NUL");
  }
  auto ca_key = PublicKey::parse(ca_blob);  // which refuses a certificate by its name alone
  if (!ca_key) {
    return std::unexpected(ca_key.error());
  }
  certificate.ca_key = *std::move(ca_key);

  auto parsed_principals = parse_principals(principals);
  if (!parsed_principals) {
    return std::unexpected(parsed_principals.error());
  }
  auto parsed_critical = parse_options(critical_options);
  if (!parsed_critical) {
    return std::unexpected(parsed_critical.error());
  }
  auto parsed_extensions = parse_options(extensions);
  if (!parsed_extensions) {
    return std::unexpected(parsed_extensions.error());
  }
  certificate.principals = *std::move(parsed_principals);
  certificate.critical_options = *std::move(parsed_critical);
  certificate.extensions = *std::move(parsed_extensions);
  certificate.blob = to_bytes(blob);
  return certificate;
}

Status Certificate::verify_signature() const {
  const SignatureAlgorithm* const algorithm = find_signature_algorithm(Reader(signature).text());
  if (algorithm == nullptr || algorithm->certificate || algorithm->legacy) {
    return fail(ErrorCode::kAuth, "a certificate is signed by an algorithm that we do not accept");
  }
  return ca_key.verify(*algorithm, signed_part, signature);
}

bool Certificate::valid_at(WallTime now) const {
  return now >= 0 && static_cast<std::uint64_t>(now) >= valid_after &&
         static_cast<std::uint64_t>(now) < valid_before;
}

Result<Bytes> sign_certificate(const CertificateRequest& request, const PrivateKey& ca,
                               RandomSource& random) {
  std::vector<CertificateOption> critical_options = request.critical_options;
  std::vector<CertificateOption> extensions = request.extensions;
  BASTION_TRY(sort_options(critical_options));
  BASTION_TRY(sort_options(extensions));
  if (request.principals.size() > limits::kCertificatePrincipalsMax) {
    return fail(ErrorCode::kLimit, "a certificate has too many principals");
  }
  Writer principals;
  for (const std::string& principal : request.principals) {
    principals.text(principal);
  }
  // The nonce keeps a subject that chooses its own key from knowing what the CA will hash.
  std::array<std::uint8_t, 32> nonce;
  random.fill(nonce);
  Reader key_fields(request.key.blob());
  key_fields.string();  // the plain type's name

  Writer out;
  out.text(certificate_type_name(request.key.type())).string(nonce).bytes(key_fields.rest());
  out.u64(request.serial).u32(static_cast<std::uint32_t>(request.type)).text(request.key_id);
  out.string(principals.view()).u64(request.valid_after).u64(request.valid_before);
  write_options(critical_options, out);
  write_options(extensions, out);
  out.text("").string(ca.public_key().blob());
  const auto signature =
      ca.sign(*pick_signature_algorithms(ca.public_key().type()).front(), out.view());
  if (!signature) {
    return std::unexpected(signature.error());
  }
  out.string(*signature);
  if (out.size() > limits::kKeyBlobBytesMax) {
    return fail(ErrorCode::kLimit, "a certificate would be too long",
                static_cast<std::int64_t>(out.size()));
  }
  return out.take();
}

}  // namespace bastion::crypto
