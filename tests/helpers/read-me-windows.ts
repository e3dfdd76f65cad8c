// README.txt in the archives for Windows, which open nothing that ends in .md.

/** The text, with the line ends of Windows. */
export function windowsReadMe(version: string): string {
  return `FileTracker ${version} for Windows 10 and 11
===================================

FIRST START
1. Unpack the whole zip: right-click it, "Extract All". Programs do not run well inside a zip.
2. Share and fetch files: double-click ft-peer.exe.
   Run a tracker, once in each building: double-click ft-tracker.exe. Leave its window open.

"WINDOWS PROTECTED YOUR PC"
Windows says this of programs that are not signed by a company. Click "More info", "Run anyway".
To see that the zip is the right one, compare its sum with the line in SHA256SUMS:
   certutil -hashfile filetracker-${version}-windows-x64.zip SHA256

THE FIREWALL
Windows asks whether ft-peer and ft-tracker may use the network: "Allow" for private networks.
If you may not allow it, you can still fetch and share: others' programs help. Only a computer
that runs ft-tracker must be allowed.

IN A CONSOLE
   PowerShell:  .\\ft-peer find report     .\\ft-peer get "report 1.pdf"
   cmd:         ft-peer find report       ft-peer get "report 1.pdf"
   All commands: ft-peer --help
   Tab completes commands in PowerShell when its profile ($PROFILE) has the line:
      ft-peer --completions powershell | Out-String | Invoke-Expression

   Names with other letters come right through a pipe of PowerShell 5 after this line:
      [Console]::OutputEncoding = [Text.Encoding]::UTF8

"CANNOT LISTEN ON ... 1234"
Hyper-V, WSL or Docker may keep the port. This lists the ports that Windows keeps:
   netsh int ipv4 show excludedportrange tcp
Choose another: ft-tracker --port 4321

WHERE IT KEEPS THINGS, AND HOW TO REMOVE IT
Bans, the keys of private rooms and the list of hashes are in %LOCALAPPDATA%\\filetracker, settings
in %APPDATA%\\filetracker.
To remove FileTracker, delete these folders and the unpacked one. Nothing else is installed.
Bans, notices and other commands reach ft-tracker by a named pipe. Administrators, and you, can open
it from another computer too.
`.replaceAll("\n", "\r\n");
}
