// Changes sentences that were written for a command line into ones for the prompts, where nobody types commands.

/** What a sentence for the command line says, and what it says in the prompts. */
const INSTEAD: [RegExp, string][] = [
  [/ Make it, or choose another with --to\./g, " Choose another one in the settings."],
  [/ Choose another folder with --to\./g, " Choose another one in the settings."],
  [/ Check the path after --share\./g, ""],
  [/,? or share another with --share\./g, ", or share another one."],
  [/your progress is saved; run the same command to resume\./gi, "Your progress is saved; choose the file again to resume."],
  [/ End that program and run the same command again\./g, " End that program and choose the file again."],
  [/ Run the same command again\./g, " Choose the file again."],
  [/ Check the address and that ft-tracker runs there\./g, " Check the address, and that a tracker runs there."],
];

/** The sentence without options and commands to type. */
export function withoutCommands(sentence: string): string {
  return INSTEAD.reduce((words, [from, to]) => words.replace(from, to), sentence);
}
