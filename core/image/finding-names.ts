import type { JudgedFinding } from './image-schema.ts';

const isCve = (name: string): boolean => name.startsWith('CVE-');

/**
 * By which of its names, in upper case, somebody can say that a finding does not count. Several CVEs are no names of one
 * another: an advisory (ELSA, ALAS, …) stands for all of them, and scanners relate CVEs that are not the same. Who has looked
 * at one of them has not looked at the others: then the finding is meant by its own name alone, and by aliases of other kinds.
 */
export function namesToExcuse({
  vulnerability,
  aliases,
}: Pick<JudgedFinding, 'vulnerability' | 'aliases'>): readonly string[] {
  const own = vulnerability.toUpperCase();
  if (aliases.length === 0) return [own];
  const others = new Set(aliases.map((alias) => alias.toUpperCase()));
  others.delete(own);
  const all = [own, ...others];
  return all.filter(isCve).length > 1 ? all.filter((name) => name === own || !isCve(name)) : all;
}
