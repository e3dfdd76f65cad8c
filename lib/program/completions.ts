// Completions of both programs for four shells, made from one table of what can be typed; a test holds it equal to `--help`.

import { DEFAULT_MAX_FILES, DEFAULT_TRACKER_PORT } from "../protocol/messages.ts";
import { LIMIT_OPTIONS } from "./limits.ts";

export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

export type Shell = (typeof SHELLS)[number];

export type Program = "ft-peer" | "ft-tracker";

/** What an option's value is completed to: a file or folder, a folder, one of some words, or nothing ("text"). */
type Value = "file" | "folder" | "text" | readonly string[];

export interface Option {
  /** Such as "--share". */
  name: string;
  /** Its value as `--help` calls it, such as "PATH"; an option without one takes no value. */
  label?: string;
  value?: Value;
  repeatable?: boolean;
  /** As `--help` says it; plain ASCII. */
  about: string;
}

export interface Command {
  name: string;
  about: string;
}

/** Options that both programs have. */
const COMMON: Option[] = [
  { name: "--help", about: "this text" },
  { name: "--version", about: "the version" },
  { name: "--completions", label: "SHELL", value: SHELLS, about: "completions for bash, zsh, fish or powershell" },
];

/** Everything that can be typed behind a program's name. */
export const COMMAND_LINES: Record<Program, { options: Option[]; commands: Command[] }> = {
  "ft-peer": {
    commands: [
      { name: "search", about: "who has the file of exactly this name" },
      { name: "find", about: "who has files with all these words in their names, or a content: root:HEX" },
      { name: "get", about: "fetch it (or: get root:HEX, by its content id)" },
      { name: "list", about: "every file online, or those of one peer (id or address)" },
      { name: "who", about: "the peers online" },
      { name: "share", about: "stay online and serve until Ctrl-C" },
      { name: "doctor", about: "what stands between this machine and the others" },
    ],
    options: [
      {
        name: "--share",
        label: "PATH",
        value: "file",
        repeatable: true,
        about: `a file or folder to share; repeatable (default: this folder's first ${DEFAULT_MAX_FILES} files)`,
      },
      { name: "--to", label: "DIR", value: "folder", about: "where fetched files go (default: this folder)" },
      { name: "--port", label: "N", value: "text", about: "where this peer serves (default 1235, else a free port)" },
      { name: "--from", label: "ADDR:PORT", value: "text", about: "fetch from this holder only" },
      { name: "--overwrite", about: "let a fetched file replace one of the same name" },
      {
        name: "--ext",
        label: "EXT",
        value: "text",
        repeatable: true,
        about: "find: only these extensions, such as pdf or pdf,odt",
      },
      { name: "--type", label: "TYPE", value: "text", about: "find: only types that begin so, such as video/" },
      { name: "--min", label: "SIZE", value: "text", about: "find: at least this big, such as 10MB" },
      { name: "--max", label: "SIZE", value: "text", about: "find: at most this big" },
      {
        name: "--after",
        label: "DATE",
        value: "text",
        about: "find: last changed on this day or later, such as 2026-11-22",
      },
      { name: "--before", label: "DATE", value: "text", about: "find: last changed on this day or earlier" },
      { name: "--limit", label: "RATE", value: "text", about: "bytes a second at most, such as 10MB; up and down each" },
      { name: "--json", about: "one JSON object a line" },
      { name: "--quiet", about: "print results and errors only" },
      ...COMMON,
    ],
  },
  "ft-tracker": {
    commands: [
      { name: "status", about: "what it does: peers, files, rates, refused, memory (or: SIGUSR1)" },
      { name: "kick", about: "disconnect an address; it may come back after a minute" },
      { name: "ban", about: "disconnect it and keep it out, for good or --for a while" },
      { name: "unban", about: "let it in again" },
      { name: "bans", about: "who is kept out, and for how long" },
      { name: "notice", about: "tell every peer" },
    ],
    options: [
      {
        name: "--port",
        label: "N",
        value: "text",
        about: `port to listen on (default ${DEFAULT_TRACKER_PORT}; 0 takes a free one)`,
      },
      {
        name: "--host",
        label: "ADDRESS",
        value: "text",
        about: "address to listen on (default: every interface, IPv4 and IPv6)",
      },
      {
        name: "--name",
        label: "NAME",
        value: "text",
        about: "what peers see as this tracker's name (default: the host's name)",
      },
      { name: "--no-announce", about: "do not announce the tracker on the network" },
      { name: "--for", label: "DURATION", value: "text", about: "how long a ban holds, such as 30m, 2h or 7d" },
      {
        name: "--bans",
        label: "FILE",
        value: "file",
        about: "where bans are kept (default: bans.txt in this user's state folder)",
      },
      { name: "--json", about: "one JSON object a line for each event" },
      { name: "--quiet", about: "print errors only" },
      ...COMMON,
      ...LIMIT_OPTIONS.map(({ option, label, about }): Option => ({ name: `--${option}`, label, value: "text", about })),
    ],
  },
};

/** The script that makes a shell complete a program's command line; ends with a newline. */
export function completionScript(shell: Shell, program: Program): string {
  return { bash, zsh, fish, powershell }[shell](program);
}

/** The program's name as a shell's function can have it. */
const functionName = (program: Program) => program.replace("-", "_");

const namesOf = (things: readonly { name: string }[]) => things.map(({ name }) => name);

const takingValues = (options: Option[]) => options.filter(({ value }) => value !== undefined);

const isWords = (value: Value | undefined): value is readonly string[] => typeof value === "object";

// ---------------------------------------------------------------- bash 4 and later

function bash(program: Program): string {
  const { options, commands } = COMMAND_LINES[program];
  const self = functionName(program);
  const taking = takingValues(options);
  const values = taking
    .filter(({ value }) => value !== "text")
    .map(({ name, value }) => {
      const act = isWords(value)
        ? `mapfile -t COMPREPLY < <(compgen -W '${value.join(" ")}' -- "$cur")`
        : `compopt -o ${value === "folder" ? "dirnames" : "default"}`;
      return `    ${name}) ${act} ;;\n`;
    });
  const names = namesOf(commands);
  return `# Completions of ${program} for bash 4 and later. In ~/.bashrc:  source <(${program} --completions bash)

_${self}() {
  local cur word value='' ended='' i
  local -a words=() given=()
  COMPREPLY=()
  # The shell splits words at ":" and "=" as well: put together again.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if ((\${#words[@]})) && [[ $word == [:=]* || \${words[-1]} == *[:=] ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  cur=\${words[-1]}
  for word in "\${words[@]:0:\${#words[@]}-1}"; do
    if [[ $value ]]; then
      value=''
    elif [[ $ended || $word != -* ]]; then
      given+=("$word")
    else
      case $word in
        --) ended=yes ;;
        ${namesOf(taking).join(" | ")}) value=$word ;;
      esac
    fi
  done
  if [[ ! $value && ! $ended && $cur == --*=* ]]; then
    value=\${cur%%=*} cur=\${cur#*=}
  fi
  # Files and folders are left to the shell, which knows how to quote them.
  case $value in
${values.join("")}  esac
  if [[ $value ]]; then
    return
  elif [[ ! $ended && $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '${namesOf(options).join(" ")}' -- "$cur")
${
  names.length === 0
    ? ""
    : `  elif ((\${#given[@]} == 0)) || { ((\${#given[@]} == 1)) && [[ ! \${given[0]} =~ ^(${names.join("|")})$ ]]; }; then
    # A command comes first, or behind the tracker's address.
    mapfile -t COMPREPLY < <(compgen -W '${names.join(" ")}' -- "$cur")
`
}  fi
}

complete -F _${self} ${program}
`;
}

// ---------------------------------------------------------------- zsh

function zsh(program: Program): string {
  const { options, commands } = COMMAND_LINES[program];
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const specs = options.map(({ name, label = "", value, repeatable, about }) => {
    const alone = name === "--help" || name === "--version" || name === "--completions";
    const before = alone ? "(- *)" : repeatable ? "*" : "";
    const description = `[${about.replace(/[[\]\\]/g, "\\$&")}]`;
    if (value === undefined) return quoted(`${before}${name}${description}`);
    const action = isWords(value) ? `(${value.join(" ")})` : { file: "_files", folder: "_files -/", text: " " }[value];
    return quoted(`${before}${name}=${description}:${label.replaceAll(":", "\\:")}:${action}`);
  });
  if (commands.length > 0) specs.push("'1: :->command'", "'2: :->behind'");
  const described = commands.map(({ name, about }) => `    ${quoted(`${name}:${about}`)}\n`);
  return `#compdef ${program}
# Completions of ${program} for zsh: as "_${program}" in a folder of $fpath. Or in ~/.zshrc:  source <(${program} --completions zsh)

_${program}() {
${
  commands.length === 0
    ? ""
    : `  local curcontext=$curcontext state state_descr line
  local -A opt_args
  local -a commands=(
${described.join("")}  )
`
}  _arguments ${commands.length === 0 ? "" : "-C "}-S \\
    ${specs.join(" \\\n    ")}
${
  commands.length === 0
    ? ""
    : `  # A command comes first, or behind the tracker's address.
  if [[ $state == command || ( $state == behind && ! $line[1] == (${namesOf(commands).join("|")}) ) ]]; then
    _describe -t commands command commands
  fi
`
}}

if [[ $funcstack[1] == _${program} ]]; then
  _${program} "$@"
else
  compdef _${program} ${program}
fi
`;
}

// ---------------------------------------------------------------- fish

function fish(program: Program): string {
  const { options, commands } = COMMAND_LINES[program];
  const quoted = (text: string) => `'${text.replace(/['\\]/g, "\\$&")}'`;
  const wants = `__${functionName(program)}_wants_command`;
  const lines = options.map(({ name, value, about }) => {
    const takes = isWords(value)
      ? ` -x -a ${quoted(value.join(" "))}`
      : { file: " -r -F", folder: " -x -a '(__fish_complete_directories)'", text: " -x", none: "" }[value ?? "none"];
    return `complete -c ${program} -l ${name.slice(2)}${takes} -d ${quoted(about)}\n`;
  });
  const described = commands.map(({ name, about }) => `complete -c ${program} -n ${wants} -a ${name} -d ${quoted(about)}\n`);
  return `# Completions of ${program} for fish: as "${program}.fish" in ~/.config/fish/completions

${
  commands.length === 0
    ? ""
    : `# A command comes first, or behind the tracker's address.

function ${wants}
    set -l words (commandline -opc)
    set -e words[1]
    set -l given
    set -l value no
    for word in $words
        if test $value = yes
            set value no
        else if contains -- $word ${namesOf(takingValues(options)).join(" ")}
            set value yes
        else if not string match -q -- '-*' $word
            set -a given $word
        end
    end
    switch (count $given)
        case 0
            return 0
        case 1
            not contains -- $given[1] ${namesOf(commands).join(" ")}
        case '*'
            return 1
    end
end

`
}complete -c ${program} -f
${lines.join("")}${described.join("")}`;
}

// ---------------------------------------------------------------- PowerShell 5 and later

function powershell(program: Program): string {
  const { options, commands } = COMMAND_LINES[program];
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const rows = (things: { name: string; value?: Value; about: string }[]) =>
    things
      .map(({ name, value, about }) => [name, isWords(value) ? value.join(" ") : (value ?? ""), about].map(quoted))
      .map(([name, takes, about]) => `\n        [pscustomobject]@{ Name = ${name}; Takes = ${takes}; About = ${about} }`)
      .join("");
  return `# Completions of ${program} for PowerShell 5 and later. In the file that $PROFILE names:
#     ${program} --completions powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName '${program}', '${program}.exe' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # What an option takes: a file, a folder, a text, one of some words, or nothing.
    $options = @(${rows(options)}
    )
    $commands = @(${rows(commands)}
    )
    $given = @()
    $option = $null
    foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $word = $element.Extent.Text.Trim([char[]]@(39, 34))
        if ($option) { $option = $null; continue }
        $option = $options | Where-Object { $_.Takes -and $_.Name -ceq $word } | Select-Object -First 1
        if (-not $option -and -not $word.StartsWith('-')) { $given += $word }
    }

    $found = @()
    if ($option) {
        $takes = $option.Takes
        if ($takes -eq 'file') {
            $found = @([System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete))
        } elseif ($takes -eq 'folder') {
            $found = @([System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete) |
                Where-Object { $_.ResultType -eq 'ProviderContainer' })
        } elseif ($takes -ne 'text') {
            $found = @($takes -split ' ' | Where-Object { $_ -like "$wordToComplete*" } |
                ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) })
        }
    } else {
        $rows = @()
        if ($wordToComplete.StartsWith('-')) {
            $rows = $options
        } elseif ($given.Count -eq 0 -or ($given.Count -eq 1 -and -not ($commands | Where-Object { $_.Name -ceq $given[0] }))) {
            # A command comes first, or behind the tracker's address.
            $rows = $commands
        }
        $found = @($rows | Where-Object { $_.Name.StartsWith($wordToComplete) } |
            ForEach-Object { [System.Management.Automation.CompletionResult]::new($_.Name, $_.Name, 'ParameterValue', $_.About) })
    }
    # Nothing at all would be taken for "any file".
    if ($found.Count -eq 0) { '' } else { $found }
}
`;
}
