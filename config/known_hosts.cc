#include "config/known_hosts.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/glob.h"
#include "base/ip.h"
#include "base/wire.h"
#include "crypto/hash.h"

namespace bastion::config {
namespace {

constexpr std::size_t kSha1Len = 20;
constexpr std::uint16_t kSshPort = 22;
/// Names remembered: some 100 bytes each, so 400 KiB.
constexpr std::size_t kRememberedMax = 4096;
constexpr std::string_view kBlanks = " \t";

/// next_word takes the next word off `rest`, skipping blanks before it; empty at the end.
std::string_view next_word(std::string_view& rest) {
  const std::size_t from = rest.find_first_not_of(kBlanks);
  if (from == rest.npos) {
    rest = {};
    return {};
  }
  const std::size_t end = std::min(rest.find_first_of(kBlanks, from), rest.size());
  const std::string_view word = rest.substr(from, end - from);
  rest = rest.substr(end);
  return word;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), ascii_lower);
  return out;
}

/// host_text is how a host stands in a file: in lower case, with its port where that is not 22.
std::string host_text(std::string_view host, std::uint16_t port) {
  return port == kSshPort ? lower(host) : "[" + lower(host) + "]:" + std::to_string(port);
}

std::unexpected<std::string> refuse(std::string text) {
  return std::unexpected<std::string>(std::move(text));
}

/// printable cuts and escapes what a message quotes from a file.
std::string printable(std::string_view text) {
  constexpr std::size_t kQuotedBytesMax = 40;
  std::string out;
  for (const char c : text.substr(0, kQuotedBytesMax)) {
    out += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return text.size() > kQuotedBytesMax ? out + "..." : out;
}

}  // namespace

std::string_view key_blob_type(ByteView key_blob) {
  Reader in(key_blob);
  const std::string_view type = in.text(64);
  return in.ok() ? type : std::string_view();
}

std::string key_fingerprint(ByteView key_blob) {
  std::string text =
      crypto::base64_encode(crypto::hash(crypto::HashAlgorithm::kSha256, key_blob).view());
  text.erase(std::min(text.find('='), text.size()));
  return "SHA256:" + text;
}

std::string known_hosts_line(std::string_view host, std::uint16_t port, ByteView key_blob) {
  return host_text(host, port) + " " + std::string(key_blob_type(key_blob)) + " " +
         crypto::base64_encode(key_blob);
}

std::expected<KnownHosts::Line, std::string> KnownHosts::parse_line(std::string_view text) {
  Line line;
  std::string_view names = next_word(text);
  if (names.starts_with('@')) {
    if (names == "@cert-authority") {
      line.entry.marker = Marker::kCertAuthority;
    } else if (names == "@revoked") {
      line.entry.marker = Marker::kRevoked;
    } else {
      return refuse("unknown marker \"" + printable(names) +
                    "\" (expected @cert-authority or @revoked)");
    }
    names = next_word(text);
    if (names.starts_with('@')) {
      return refuse("a second marker \"" + printable(names) + "\"");
    }
  }
  const std::string_view type = next_word(text);
  const std::string_view key = next_word(text);
  if (key.empty()) {
    return refuse("expected host names, a key type and a key");
  }
  auto blob = crypto::base64_decode(key);
  if (!blob || key_blob_type(*blob).empty()) {
    return refuse("the key is not base64 of a public key: \"" + printable(key) + "\"");
  }
  if (key_blob_type(*blob) != type) {
    return refuse("the key is of type \"" + printable(key_blob_type(*blob)) +
                  "\", the line says \"" + printable(type) + "\"");
  }
  line.entry.key_type = std::string(type);
  line.entry.key_blob = std::move(*blob);

  if (names.starts_with("|1|")) {
    const std::size_t middle = names.find('|', 3);
    const auto salt = crypto::base64_decode(names.substr(3, middle - 3));
    const auto hash = middle == names.npos ? Result<Bytes>(Bytes())
                                           : crypto::base64_decode(names.substr(middle + 1));
    if (!salt || !hash || salt->size() != kSha1Len || hash->size() != kSha1Len) {
      return refuse("the hashed name is not |1|SALT|HASH: \"" + printable(names) + "\"");
    }
    line.hashed.push_back({*salt, *hash});
    return line;
  }
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(','), names.size());
    const std::string_view pattern = names.substr(0, comma);
    if (pattern.empty() || pattern == "!" || pattern.size() > kGlobPatternBytesMax) {
      return refuse("an empty or overlong host name");
    }
    line.patterns.push_back(lower(pattern));
    names = comma == names.size() ? std::string_view() : names.substr(comma + 1);
  }
  return line;
}

std::expected<KnownHosts, std::vector<KnownHosts::ParseError>> KnownHosts::parse(
    std::string_view text) {
  KnownHosts hosts;
  std::vector<ParseError> errors;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text = end == text.size() ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    const std::size_t first = line.find_first_not_of(kBlanks);
    if (first == line.npos || line[first] == '#') {
      continue;
    }
    if (line.find('\0') != line.npos) {
      errors.push_back({number, "a NUL byte"});
      continue;
    }
    auto parsed = parse_line(line);
    if (!parsed) {
      errors.push_back({number, std::move(parsed.error())});
      continue;
    }
    parsed->entry.line = number;
    hosts.lines_.push_back(std::move(*parsed));
  }
  if (!errors.empty()) {
    return std::unexpected(std::move(errors));
  }
  return hosts;
}

Bytes KnownHosts::digest() const {
  Writer out;
  for (const Line& line : lines_) {
    out.u8(static_cast<std::uint8_t>(line.entry.marker)).string(line.entry.key_blob);
    out.u32(static_cast<std::uint32_t>(line.patterns.size()));
    for (const std::string& pattern : line.patterns) {
      out.text(pattern);
    }
    out.u32(static_cast<std::uint32_t>(line.hashed.size()));
    for (const HashedName& hashed : line.hashed) {
      out.string(hashed.salt).string(hashed.hash);
    }
  }
  return to_bytes(crypto::hash(crypto::HashAlgorithm::kSha256, out.view()).view());
}

bool KnownHosts::covers(const Line& line, const std::string& name) {
  for (const HashedName& hashed : line.hashed) {
    const auto digest = crypto::hmac(crypto::HashAlgorithm::kSha1, hashed.salt, as_bytes(name));
    if (equal(digest.view(), hashed.hash)) {
      return true;
    }
  }
  bool covered = false;
  for (const std::string& pattern : line.patterns) {
    if (pattern.starts_with('!')) {
      if (glob_match(std::string_view(pattern).substr(1), name)) {
        return false;  // a negated name beats every other of its line
      }
    } else {
      covered = covered || glob_match(pattern, name);
    }
  }
  return covered;
}

/// lines_for gives the numbers of the lines that cover a name as host_text writes it.
const std::vector<std::size_t>& KnownHosts::lines_for(const std::string& name) const {
  const auto found = remembered_.find(name);
  if (found != remembered_.end()) {
    return found->second;
  }
  if (remembered_.size() >= kRememberedMax) {
    remembered_.clear();  // users can make up names of a pattern
  }
  std::vector<std::size_t>& lines = remembered_[name];
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (covers(lines_[i], name)) {
      lines.push_back(i);
    }
  }
  return lines;
}

std::vector<const KnownHosts::Entry*> KnownHosts::matches(std::string_view host, std::uint16_t port,
                                                          Marker marker) const {
  std::vector<std::size_t> lines = lines_for(host_text(host, port));
  if (marker != Marker::kNone && port != kSshPort) {
    const std::vector<std::size_t>& plain = lines_for(host_text(host, kSshPort));
    lines.insert(lines.end(), plain.begin(), plain.end());
    std::sort(lines.begin(), lines.end());
    lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  }
  std::vector<const Entry*> found;
  for (const std::size_t line : lines) {
    if (lines_[line].entry.marker == marker) {
      found.push_back(&lines_[line].entry);
    }
  }
  return found;
}

}  // namespace bastion::config
