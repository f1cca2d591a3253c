// libssh_client runs one command by libssh, for the interop tests, since Debian has no program that
// does: libssh_client HOST PORT USER KEY_FILE COMMAND [OPTION=VALUE]...
// Options: kex, hostkeys, ciphers, macs, pubkeys (lists of algorithms as libssh takes them).
// It prints what was negotiated to stderr, passes stdin on, and ends with the command's exit
// status.
#include <libssh/libssh.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr int kFailed = 255;

[[noreturn]] void fail(ssh_session session, const char* what) {
  std::fprintf(stderr, "libssh_client: %s: %s\n", what, ssh_get_error(session));
  std::_Exit(kFailed);
}

void set_list(ssh_session session, std::string_view option) {
  struct Name {
    std::string_view name;
    std::array<ssh_options_e, 2> options;
  };
  static constexpr std::array<Name, 5> kNames{{
      {"kex", {SSH_OPTIONS_KEY_EXCHANGE, SSH_OPTIONS_KEY_EXCHANGE}},
      {"hostkeys", {SSH_OPTIONS_HOSTKEYS, SSH_OPTIONS_HOSTKEYS}},
      {"ciphers", {SSH_OPTIONS_CIPHERS_C_S, SSH_OPTIONS_CIPHERS_S_C}},
      {"macs", {SSH_OPTIONS_HMAC_C_S, SSH_OPTIONS_HMAC_S_C}},
      {"pubkeys", {SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES}},
  }};
  const auto equals = option.find('=');
  for (const auto& [name, options] : kNames) {
    if (equals != std::string_view::npos && option.substr(0, equals) == name) {
      const std::string value(option.substr(equals + 1));
      for (const auto which : options) {
        if (ssh_options_set(session, which, value.c_str()) != SSH_OK) {
          fail(session, value.c_str());
        }
      }
      return;
    }
  }
  std::fprintf(stderr, "libssh_client: unknown option\n");
  std::_Exit(kFailed);
}

// copy_out writes what the channel has of one stream, and says whether there was any.
bool copy_out(ssh_session session, ssh_channel channel, bool is_stderr) {
  std::array<char, 65536> buffer{};
  const int got =
      ssh_channel_read_timeout(channel, buffer.data(), buffer.size(), is_stderr ? 1 : 0, 20);
  if (got == SSH_ERROR) {
    fail(session, "read");
  }
  if (got > 0) {
    std::fwrite(buffer.data(), 1, static_cast<std::size_t>(got), is_stderr ? stderr : stdout);
  }
  return got > 0;
}

// copy_in passes stdin on until its end, reading the channel meanwhile so that neither side waits.
void copy_in(ssh_session session, ssh_channel channel) {
  std::array<char, 32768> buffer{};
  ssize_t got = 0;
  while ((got = read(STDIN_FILENO, buffer.data(), buffer.size())) > 0) {
    if (ssh_channel_write(channel, buffer.data(), static_cast<std::uint32_t>(got)) != got) {
      fail(session, "write");
    }
    while (copy_out(session, channel, false)) {
    }
  }
  ssh_channel_send_eof(channel);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr,
                 "usage: libssh_client HOST PORT USER KEY_FILE COMMAND [OPTION=VALUE]...\n");
    return kFailed;
  }
  const ssh_session session = ssh_new();
  const int port = std::atoi(argv[2]);
  const bool no_config = false;
  ssh_options_set(session, SSH_OPTIONS_HOST, argv[1]);
  ssh_options_set(session, SSH_OPTIONS_PORT, &port);
  ssh_options_set(session, SSH_OPTIONS_USER, argv[3]);
  ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no_config);
  for (int i = 6; i < argc; ++i) {
    set_list(session, argv[i]);
  }
  if (ssh_connect(session) != SSH_OK) {
    fail(session, "connect");
  }
  std::fprintf(stderr, "negotiated: kex %s, cipher %s and %s, mac %s and %s\n",
               ssh_get_kex_algo(session), ssh_get_cipher_out(session), ssh_get_cipher_in(session),
               ssh_get_hmac_out(session), ssh_get_hmac_in(session));
  ssh_key key = nullptr;
  if (ssh_pki_import_privkey_file(argv[4], nullptr, nullptr, nullptr, &key) != SSH_OK) {
    fail(session, "key file");
  }
  if (ssh_userauth_publickey(session, nullptr, key) != SSH_AUTH_SUCCESS) {
    fail(session, "authentication");
  }
  const ssh_channel channel = ssh_channel_new(session);
  if (channel == nullptr || ssh_channel_open_session(channel) != SSH_OK ||
      ssh_channel_request_exec(channel, argv[5]) != SSH_OK) {
    fail(session, "exec");
  }
  copy_in(session, channel);
  while (copy_out(session, channel, false) || copy_out(session, channel, true) ||
         !ssh_channel_is_eof(channel)) {
  }
  const int status = ssh_channel_get_exit_status(channel);
  std::fflush(stdout);
  ssh_channel_close(channel);
  ssh_channel_free(channel);
  ssh_key_free(key);
  ssh_disconnect(session);
  ssh_free(session);
  return status < 0 ? kFailed : status;
}
