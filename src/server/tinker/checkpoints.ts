import type { Models } from "./models.ts";
import { Refused } from "./refused.ts";
import { addressFrom, addressText, type Address, type Kind, type Store } from "./store.ts";

/** Checkpoints on the disk, as requests name them. */
export interface Checkpoints {
  /** The address of a checkpoint of one of these kinds. @throws Refused 400 for another kind; 404 for one that is not there */
  at(path: string, kinds: readonly Kind[]): Promise<Address>;
  /** Says that it is deleted in so many seconds from now; null: when somebody asks for it. @throws Refused 404 */
  keepFor(address: Address, lifetime: number | null): Promise<void>;
  /** Deletes it. A model that would have to go on from it begins again as it began. @throws Refused 404 */
  remove(address: Address): Promise<void>;
  /** Deletes those whose time is over. */
  removeExpired(): Promise<void>;
}

export function checkpoints(store: Store, known: Pick<Models, "find" | "unsave">, onEvent: (sentence: string) => void): Checkpoints {
  async function checkThere(address: Address): Promise<void> {
    if (!(await store.has(address))) throw new Refused(404, `There is no checkpoint ${addressText(address)}.`);
  }

  async function remove(address: Address): Promise<void> {
    await checkThere(address);
    const model = known.find(address.model);
    if (model && address.kind === "weights" && model.saved?.name === address.name) await known.unsave(model);
    await store.remove(address);
  }

  return {
    async at(path, kinds) {
      const address = addressFrom(path);
      if (!kinds.includes(address.kind))
        throw new Refused(400, `${path} does not hold what is asked for: give one of ${kinds.join(" or ")}.`);
      await checkThere(address);
      return address;
    },
    async keepFor(address, lifetime) {
      await checkThere(address);
      await store.expire(address, lifetime === null ? null : new Date(Date.now() + 1000 * lifetime));
    },
    remove,
    async removeExpired() {
      for (const address of store.expired())
        await remove(address).catch((cause: unknown) => onEvent(`${addressText(address)} could not be deleted: ${String(cause)}`));
    },
  };
}
