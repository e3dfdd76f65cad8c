// Writes what package managers need: each names the archives of a release, where they are, and their sums.

/** What every package manager says of this project. */
export interface Project {
  version: string;
  /** In one line. */
  description: string;
  homepage: string;
  license: string;
  /** The folder on the web that has the archives. */
  place: string;
  /** The SHA-256 sums of the archives by their names. */
  sums: ReadonlyMap<string, string>;
  /** The name of a target's archive. */
  archiveOf(target: string): string;
}

/** The texts by their file names. Throws when a sum is missing. */
export function packageTexts(project: Project): Record<string, string> {
  const { version } = project;
  return {
    "scoop/filetracker.json": scoop(project),
    "homebrew/filetracker.rb": homebrew(project),
    "aur/PKGBUILD": aur(project),
    [`winget/${version}/${WINGET}.yaml`]: wingetVersion(project),
    [`winget/${version}/${WINGET}.installer.yaml`]: wingetInstaller(project),
    [`winget/${version}/${WINGET}.locale.en-US.yaml`]: wingetLocale(project),
  };
}

const WINGET = "FileTracker.FileTracker";
const WINGET_VERSION = "1.6.0";

function archive({ place, sums, archiveOf }: Project, target: string): { url: string; sum: string; folder: string } {
  const name = archiveOf(target);
  const sum = sums.get(name);
  if (sum === undefined) throw new RangeError(`There is no sum of "${name}".`);
  return { url: `${place.replace(/\/$/, "")}/${name}`, sum, folder: name.replace(/\.(?:zip|tar\.\w+)$/, "") };
}

function scoop(project: Project): string {
  const row = (target: string) => {
    const { url, sum, folder } = archive(project, target);
    return { url, hash: sum, extract_dir: folder };
  };
  const { version, description, homepage, license } = project;
  const architecture = { "64bit": row("windows-x64"), arm64: row("windows-arm64") };
  const manifest = { version, description, homepage, license, architecture, bin: ["ft-peer.exe", "ft-tracker.exe"] };
  return `${JSON.stringify(manifest, undefined, 4)}\n`;
}

function homebrew(project: Project): string {
  const source = (system: string, processor: string, target: string) => {
    const { url, sum } = archive(project, target);
    return `  on_${system} do\n    on_${processor} do\n      url "${url}"\n      sha256 "${sum}"\n    end\n  end\n`;
  };
  return `class Filetracker < Formula
  desc "${project.description}"
  homepage "${project.homepage}"
  version "${project.version}"
  license "${project.license}"

${[
  source("macos", "arm", "darwin-arm64"),
  source("macos", "intel", "darwin-x64"),
  source("linux", "arm", "linux-arm64"),
  source("linux", "intel", "linux-x64"),
].join("\n")}
  def install
    bin.install "ft-peer", "ft-tracker"
    man1.install Dir["man/*.1"]
    %w[ft-peer ft-tracker].each do |program|
      bash_completion.install "completions/#{program}.bash" => program
      zsh_completion.install "completions/_#{program}"
      fish_completion.install "completions/#{program}.fish"
    end
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/ft-peer --version")
  end
end
`;
}

/** Stripped, a program loses the part that Bun has put behind its code. */
function aur(project: Project): string {
  const [intel, arm] = [archive(project, "linux-x64"), archive(project, "linux-arm64")];
  return `pkgname=filetracker-bin
pkgver=${project.version}
pkgrel=1
pkgdesc="${project.description}"
arch=('x86_64' 'aarch64')
url="${project.homepage}"
license=('${project.license}')
depends=('glibc')
provides=('filetracker')
conflicts=('filetracker')
options=('!strip' '!debug')
source_x86_64=("${intel.url}")
source_aarch64=("${arm.url}")
sha256sums_x86_64=('${intel.sum}')
sha256sums_aarch64=('${arm.sum}')

package() {
  cd "$srcdir"/filetracker-*/
  local program
  for program in ft-peer ft-tracker; do
    install -Dm755 "$program" "$pkgdir/usr/bin/$program"
    install -Dm644 "man/$program.1" "$pkgdir/usr/share/man/man1/$program.1"
    install -Dm644 "completions/$program.bash" "$pkgdir/usr/share/bash-completion/completions/$program"
    install -Dm644 "completions/_$program" "$pkgdir/usr/share/zsh/site-functions/_$program"
    install -Dm644 "completions/$program.fish" "$pkgdir/usr/share/fish/vendor_completions.d/$program.fish"
  done
  install -Dm644 LICENSE "$pkgdir/usr/share/licenses/$pkgname/LICENSE"
}
`;
}

function winget(kind: string, { version }: Project, lines: string[]): string {
  const head = [
    `# yaml-language-server: $schema=https://aka.ms/winget-manifest.${kind}.${WINGET_VERSION}.schema.json`,
    `PackageIdentifier: ${WINGET}`,
    `PackageVersion: "${version}"`,
  ];
  return `${[...head, ...lines, `ManifestType: ${kind}`, `ManifestVersion: ${WINGET_VERSION}`].join("\n")}\n`;
}

function wingetVersion(project: Project): string {
  return winget("version", project, ["DefaultLocale: en-US"]);
}

function wingetInstaller(project: Project): string {
  const installers = [
    ["x64", "windows-x64"],
    ["arm64", "windows-arm64"],
  ].flatMap(([processor = "", target = ""]) => {
    const { url, sum, folder } = archive(project, target);
    const programs = ["ft-peer", "ft-tracker"].flatMap((program) => [
      `  - RelativeFilePath: ${folder}\\${program}.exe`,
      `    PortableCommandAlias: ${program}`,
    ]);
    return [
      `- Architecture: ${processor}`,
      `  InstallerUrl: ${url}`,
      `  InstallerSha256: ${sum.toUpperCase()}`,
      "  NestedInstallerFiles:",
      ...programs,
    ];
  });
  return winget("installer", project, ["InstallerType: zip", "NestedInstallerType: portable", "Installers:", ...installers]);
}

function wingetLocale(project: Project): string {
  return winget("defaultLocale", project, [
    "PackageLocale: en-US",
    "Publisher: FileTracker",
    "PackageName: FileTracker",
    `PackageUrl: ${project.homepage}`,
    `License: ${project.license}`,
    `ShortDescription: ${project.description}`,
  ]);
}
