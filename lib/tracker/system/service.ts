// Writes what a system needs to run the tracker as a service: a systemd unit, a launchd agent, or a task of Windows.

interface ServiceSetup {
  /** As `process.platform` names it. */
  platform: string;
  /** The path of ft-tracker on this machine. */
  program: string;
  /** The options for it. */
  options: string[];
  /** The home folder of this user. */
  home: string;
}

/** The most memory of the service. A tracker with 5,000 peers takes some 110 MB. */
const MEMORY_MOST = "1G";
/** Where an administrator puts programs. systemd keeps a service out of people's home folders. */
const USUAL_PLACE = "/usr/local/bin/ft-tracker";
const LABEL = "filetracker.ft-tracker";

/** The text for this system, with the commands that install it as comments. Without a newline at its end. */
export function serviceText(setup: ServiceSetup): string {
  if (setup.platform === "win32") return windowsTask(setup);
  return setup.platform === "darwin" ? launchdAgent(setup) : systemdUnit(setup);
}

/** Bun compiles programs while they run, so MemoryDenyWriteExecute is not possible. */
function systemdUnit({ program, options }: ServiceSetup): string {
  const isReachable = !/^\/(?:home|root|tmp|var\/tmp|run\/user)\//.test(program);
  const path = isReachable ? program : USUAL_PLACE;
  const copy = isReachable ? "" : `#     sudo install ${program} ${USUAL_PLACE}\n`;
  const command = [path, ...options].map(quotedForSystemd).join(" ");
  return `# Runs a tracker at each start of this machine:
#
${copy}#     ft-tracker service | sudo tee /etc/systemd/system/ft-tracker.service
#     sudo systemctl daemon-reload
#     sudo systemctl enable --now ft-tracker
#
# Its log: journalctl -u ft-tracker     Its operator: sudo XDG_STATE_HOME=/var/lib ft-tracker status

[Unit]
Description=FileTracker, which knows who on this network has which file
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${command}
Restart=on-failure
RestartSec=2
DynamicUser=yes
StateDirectory=filetracker
StateDirectoryMode=0700
Environment=XDG_STATE_HOME=%S XDG_CONFIG_HOME=/etc
UMask=0077
LimitNOFILE=65536
MemoryMax=${MEMORY_MOST}
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target`;
}

/** An argument in a unit. `%` and `$` mean something there. */
function quotedForSystemd(text: string): string {
  const escaped = text.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w./:=@+,%-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

function launchdAgent({ program, options, home }: ServiceSetup): string {
  const file = `~/Library/LaunchAgents/${LABEL}.plist`;
  const words = [program, ...options].map((word) => `    <string>${escapedForXml(word)}</string>`).join("\n");
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Runs a tracker while this user is logged in:
       ft-tracker service > ${file}
       launchctl bootstrap gui/$(id -u) ${file}
     To end it: launchctl bootout gui/$(id -u)/${LABEL} -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>StandardOutPath</key>
  <string>${escapedForXml(home)}/Library/Logs/ft-tracker.log</string>
  <key>StandardErrorPath</key>
  <string>${escapedForXml(home)}/Library/Logs/ft-tracker.log</string>
</dict>
</plist>`;
}

function escapedForXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** One line for cmd, which reads `\"` within quotes as a quote. */
function windowsTask({ program, options }: ServiceSetup): string {
  const words = [program, ...options].map((word) => (/^[\w.:=/-]+$/.test(word) ? word : `\\"${word.replaceAll('"', "")}\\"`));
  const task = `schtasks /Create /TN FileTracker /SC ONSTART /RU "NT AUTHORITY\\LOCAL SERVICE" /TR "${words.join(" ")}"`;
  return `REM Runs a tracker at each start of this machine. In cmd, as administrator:
${task}
REM Start it now: schtasks /Run /TN FileTracker     End and remove it: schtasks /End /TN FileTracker, schtasks /Delete /TN FileTracker /F`;
}
