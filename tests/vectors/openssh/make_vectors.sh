#!/bin/sh
# Makes the keys, signatures and certificates of this folder with the ssh-keygen and openssl of the
# machine (last run with OpenSSH 9.2p1 and OpenSSL 3.0). They are test data: no key here opens anything.
set -eu
cd "$(dirname "$0")"
find . -type f ! -name make_vectors.sh -delete

make() { # NAME ssh-keygen's arguments...
  name=$1
  shift
  ssh-keygen -q -N '' -C "$name" -f "$name" "$@"
}
make ed25519 -t ed25519
make rsa -t rsa -b 2048
make ecdsa_p256 -t ecdsa -b 256
make ecdsa_p384 -t ecdsa -b 384
make ecdsa_p521 -t ecdsa -b 521

copy() { # FROM TO ssh-keygen's arguments...: the same key in another form
  cp -p "$1" "$2"
  from=$1
  to=$2
  shift 2
  ssh-keygen -q -p -P '' -f "$to" "$@" >/dev/null
}
copy rsa rsa.pem -m PEM -N ''
copy rsa rsa.pkcs8 -m PKCS8 -N ''
copy ecdsa_p256 ecdsa_p256.pem -m PEM -N ''
copy ecdsa_p521 ecdsa_p521.pkcs8 -m PKCS8 -N ''
copy ed25519 ed25519.encrypted -N secret
copy rsa rsa.encrypted.pem -m PEM -N secret
copy ecdsa_p256 ecdsa_p256.encrypted.pkcs8 -m PKCS8 -N secret
openssl genpkey -algorithm ed25519 -out openssl_ed25519.pkcs8
chmod 600 openssl_ed25519.pkcs8
openssl pkey -in openssl_ed25519.pkcs8 -pubout -outform DER | tail -c 32 | od -An -tx1 -v |
  tr -d ' \n' >openssl_ed25519.point

printf 'what is signed\n' >message
for key in ed25519 rsa ecdsa_p256 ecdsa_p384 ecdsa_p521; do
  ssh-keygen -q -Y sign -f "$key" -n bastion-test <message >"$key.sig"
done

certify() { # NAME SUBJECT CA ssh-keygen's arguments...
  cp "$2.pub" "$1.pub"
  name=$1
  ca=$3
  shift 3
  ssh-keygen -q -s "$ca" "$@" "$name.pub"
  rm "$name.pub"
}
certify user ed25519 ed25519 -I 'alice from the office' -n root,deploy -z 7 -V 20200101000000Z:20300101000000Z \
  -O force-command='uptime -p' -O source-address=192.0.2.0/24,2001:db8::/32 -O no-x11-forwarding
certify clear ed25519 ed25519 -I clear -O clear
certify host ecdsa_p256 rsa -h -I host -n web1.example.org,web1
certify by_p256 rsa ecdsa_p256 -I by-p256 -n root
certify by_p384 ecdsa_p384 ecdsa_p384 -I by-p384 -n root
certify by_p521 ecdsa_p521 ecdsa_p521 -I by-p521 -n root
certify by_rsa_sha256 ed25519 rsa -t rsa-sha2-256 -I by-rsa-256 -n root
certify by_rsa_sha1 ed25519 rsa -t ssh-rsa -I by-rsa-1 -n root
