// Changes sentences that were written for a command line into ones for the prompts, where nobody types commands.

/** Parts of sentences for the command line, each with its words in the prompts. */
const INSTEAD: [RegExp, string][] = [
  [/ Make it, or choose another with --to\./g, " Choose another one in the settings."],
  [/ (?:Choose|Try) another folder with --to\./g, " Choose another one in the settings."],
  [/; run the same command to resume\./g, "; choose the file again to resume."],
  [/\band run the same command again\b/g, "and choose the file again"],
  [/\bRun the same command(?: again| to fetch it again)\b/g, "Choose the file again"],
  [/ Check the address and that ft-tracker runs there\./g, " Check the address, and that a tracker runs there."],
];

/** The text without options and commands to type. */
export function withoutCommands(text: string): string {
  const sentences = INSTEAD.reduce((words, [from, to]) => words.replace(from, to), text).split(/(?<=[.:!?]) (?=\p{Lu})/u);
  const kept = sentences.filter((sentence) => !COMMAND.test(sentence.replace(/"[^"]*"/g, "")));
  return kept.length === 0 ? text : kept.join(" ");
}

/** An option, or a command of this project. A name or a path in quotes is no such thing. */
const COMMAND = /(?:^|\s)--[a-z]|\bft-(?:peer|tracker) \S/;
