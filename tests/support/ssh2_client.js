// ssh2_client.js runs one command by ssh2: PORT USER KEY COMMAND [OPTION=NAME]...
// Options are ssh2's lists of algorithms: kex, cipher, hmac, serverHostKey. It prints what was
// negotiated to stderr and ends with the command's exit status.
const fs = require('fs');
const { Client } = require('ssh2');

const [port, username, keyFile, command, ...words] = process.argv.slice(2);
const algorithms = {};
for (const word of words) {
  const [name, value] = word.split(/=(.*)/s);
  algorithms[name] = value.split(',');
}
const client = new Client();
const fail = (error) => {
  console.error(`ssh2: ${error.message}`);
  process.exit(255);
};
client.on('handshake', (n) => console.error(`kex=${n.kex} cipher=${n.cs.cipher} mac=${n.cs.mac}`));
client.on('error', fail);
client.on('ready', () => {
  client.exec(command, (error, stream) => {
    if (error) {
      fail(error);
    }
    let status = 255;
    stream.on('exit', (code) => { status = code === null ? 255 : code; });
    stream.on('data', (data) => process.stdout.write(data));
    stream.stderr.on('data', (data) => process.stderr.write(data));
    stream.on('close', () => { process.exitCode = status; client.end(); });
    stream.end();
  });
});
client.connect({
  host: '127.0.0.1',
  port: Number(port),
  username,
  privateKey: fs.readFileSync(keyFile),
  algorithms,
  readyTimeout: 20000,
});
