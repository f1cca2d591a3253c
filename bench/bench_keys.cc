// What signatures, certificates and key parsing cost: the warden's part of a login.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

#include "crypto/keys.h"

namespace bastion::crypto {
namespace {

constexpr KeyType kTypes[] = {KeyType::kEd25519, KeyType::kEcdsaP256, KeyType::kEcdsaP384,
                              KeyType::kEcdsaP521, KeyType::kRsa};

const PrivateKey& key_of(KeyType type) {
  static const std::vector<PrivateKey> keys = [] {
    std::vector<PrivateKey> all;
    for (const KeyType each : kTypes) {
      all.push_back(PrivateKey::generate(each, 3072).value());
    }
    return all;
  }();
  return *std::ranges::find(keys, type, [](const PrivateKey& k) { return k.public_key().type(); });
}

/// What a USERAUTH_REQUEST signs is about this long.
const Bytes kData(300, 'x');

void sign(benchmark::State& state, KeyType type) {
  const SignatureAlgorithm& algorithm = *pick_signature_algorithms(type).front();
  for (auto _ : state) {
    benchmark::DoNotOptimize(key_of(type).sign(algorithm, kData));
  }
}

void verify(benchmark::State& state, KeyType type) {
  const SignatureAlgorithm& algorithm = *pick_signature_algorithms(type).front();
  const Bytes signature = key_of(type).sign(algorithm, kData).value();
  for (auto _ : state) {
    if (!key_of(type).public_key().verify(algorithm, kData, signature)) {
      state.SkipWithError("does not verify");
    }
  }
}

void parse(benchmark::State& state, KeyType type) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(PublicKey::parse(key_of(type).public_key().blob()));
  }
}

CertificateRequest request_for(KeyType type) {
  CertificateRequest request;
  request.key = key_of(type).public_key();
  request.key_id = "alice, session 0123456789abcdef, rule 3";
  request.principals = {"root"};
  request.valid_before = UINT64_MAX;
  request.critical_options = {{"source-address", make_option_string("192.0.2.1/32")}};
  request.extensions = {{"permit-pty", {}}};
  return request;
}

void sign_session_certificate(benchmark::State& state, KeyType type) {
  const CertificateRequest request = request_for(KeyType::kEd25519);
  for (auto _ : state) {
    benchmark::DoNotOptimize(sign_certificate(request, key_of(type), system_random()));
  }
}

void accept_certificate(benchmark::State& state, KeyType type) {
  const Bytes blob = sign_certificate(request_for(type), key_of(type), system_random()).value();
  for (auto _ : state) {
    const auto certificate = Certificate::parse(blob);
    if (!certificate || !certificate->verify_signature()) {
      state.SkipWithError("does not verify");
    }
  }
}

void register_all() {
  static_cast<void>(key_of(KeyType::kRsa));  // making it takes longer than all that follows
  for (const KeyType type : kTypes) {
    const std::string name = type == KeyType::kRsa ? "rsa-3072" : std::string(key_type_name(type));
    const auto add = [&](const std::string& what, void (*function)(benchmark::State&, KeyType)) {
      benchmark::RegisterBenchmark((what + "/" + name).c_str(), function, type)
          ->Unit(benchmark::kMicrosecond);
    };
    add("sign", sign);
    add("verify", verify);
    add("parse", parse);
    add("sign_certificate", sign_session_certificate);
    add("accept_certificate", accept_certificate);
  }
}

}  // namespace
}  // namespace bastion::crypto

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  bastion::crypto::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
