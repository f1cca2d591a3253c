#include <algorithm>

#include "base/wire.h"
#include "config/policy.h"

namespace bastion::config {
namespace {

std::unexpected<Error> refuse(std::string_view literal) { return fail(ErrorCode::kAuth, literal); }

/// source_allowed reads a source-address option: blocks with commas between them. One that cannot
/// be read, or an empty list, allows nothing.
bool source_allowed(std::string_view list, const IpAddress& peer) {
  bool allowed = false;
  for (;;) {
    const std::size_t comma = list.find(',');
    const auto block = Cidr::parse(list.substr(0, comma));
    if (!block) {
      return false;
    }
    allowed = allowed || block->contains(peer);
    if (comma == list.npos) {
      return allowed;
    }
    list = list.substr(comma + 1);
  }
}

/// apply_critical_options: PROTOCOL.certkeys "Critical options"; one that is not known refuses.
Status apply_critical_options(const crypto::Certificate& certificate, const IpAddress& peer,
                              Restrictions& out) {
  for (const crypto::CertificateOption& option : certificate.critical_options) {
    Reader in(option.data);
    if (option.name == "force-command") {
      out.force_command = std::string(in.text());
      if (!in.done() || out.force_command.empty() ||
          out.force_command.find('\0') != std::string::npos) {
        return refuse("the certificate's force-command is empty or cannot be read");
      }
    } else if (option.name == "source-address") {
      const std::string_view list = in.text();
      if (!in.done() || !source_allowed(list, peer)) {
        return refuse("the certificate may not be used from there");
      }
    } else if (option.name == "verify-required") {
      if (!in.done()) {
        return refuse("the certificate's verify-required has a value");
      }
      out.verify_required = true;
    } else {
      return refuse("the certificate has a critical option that we do not know");
    }
  }
  return {};
}

void apply_extensions(const crypto::Certificate& certificate, Restrictions& out) {
  out.pty = out.agent = out.x11 = out.port_forwarding = false;
  for (const crypto::CertificateOption& extension : certificate.extensions) {
    if (extension.name == "permit-pty") {
      out.pty = true;
    } else if (extension.name == "permit-agent-forwarding") {
      out.agent = true;
    } else if (extension.name == "permit-X11-forwarding") {
      out.x11 = true;
    } else if (extension.name == "permit-port-forwarding") {
      out.port_forwarding = true;
    } else if (extension.name == "no-touch-required") {
      out.touch_required = false;
    }
  }
}

}  // namespace

const UserCa* Policy::ca_of(const crypto::Certificate& certificate) const {
  const auto ca =
      std::find_if(data_.user_cas.begin(), data_.user_cas.end(),
                   [&](const UserCa& known) { return known.key == certificate.ca_key; });
  return ca == data_.user_cas.end() ? nullptr : &*ca;
}

const User* Policy::user_of_principal(const UserCa& ca, std::string_view principal) const {
  if (ca.principals_are_users) {
    return find_user(principal);
  }
  const auto mapped = ca.principals.find(principal);
  return mapped == ca.principals.end() ? nullptr : find_user(mapped->second);
}

bool Policy::accepts_certificate(const crypto::Certificate& certificate, WallTime now,
                                 const IpAddress& peer) const {
  const UserCa* ca = ca_of(certificate);
  for (const std::string& principal : certificate.principals) {
    const User* user = ca == nullptr ? nullptr : user_of_principal(*ca, principal);
    if (user != nullptr) {
      return check_user_certificate(certificate, now, peer, user->name).has_value();
    }
  }
  return false;
}

Result<Admission> Policy::check_user_certificate(const crypto::Certificate& certificate,
                                                 WallTime now, const IpAddress& peer,
                                                 std::string_view identity) const {
  if (certificate.type != crypto::CertificateType::kUser) {
    return refuse("it is not a user certificate");
  }
  const UserCa* ca = ca_of(certificate);
  if (ca == nullptr) {
    return refuse("the certificate is of a CA that we do not know");
  }
  if (data_.revoked && (data_.revoked->contains(certificate.ca_key.blob()) ||
                        data_.revoked->contains(certificate.key.blob()))) {
    return refuse("the certificate's key or CA is revoked");
  }
  if (!certificate.valid_at(now)) {
    return refuse("the certificate is not valid now");
  }

  Admission admission;
  for (const std::string& principal : certificate.principals) {
    const User* user = user_of_principal(*ca, principal);
    if (user == nullptr || (!identity.empty() && user->name != identity)) {
      continue;
    }
    if (admission.user != nullptr && admission.user != user) {
      return refuse("the certificate names several users and the user name none of them");
    }
    admission.user = user;
  }
  if (admission.user == nullptr) {
    return refuse("the certificate names nobody that we know");
  }

  BASTION_TRY(apply_critical_options(certificate, peer, admission.restrictions));
  apply_extensions(certificate, admission.restrictions);
  if (!certificate.verify_signature()) {
    return refuse("the certificate's signature is wrong");
  }
  admission.ca = ca->name;
  admission.key_id = certificate.key_id;
  admission.serial = certificate.serial;
  return admission;
}

}  // namespace bastion::config
